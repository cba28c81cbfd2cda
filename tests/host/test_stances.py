from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host.server import case
from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation, Weighed
from virtkit.host.advice.stances import Numbers, Stance, weigh

KNOB = "thp.defrag"
WORDS = ("always", "defer", "defer+madvise", "madvise", "never")
STANCES = st.dictionaries(
    st.sampled_from(Profile),
    st.builds(
        Stance,
        st.sampled_from(WORDS),
        st.just("why"),
        fine=st.frozensets(st.sampled_from(WORDS)),
        bearable=st.frozensets(st.sampled_from(WORDS)),
    ),
)


def asked(stances: dict[Profile, Stance], profiles: frozenset[Profile]) -> tuple[str, list[str]]:
    """The value that comes of it, and what was said about the weighing."""
    found = list(weigh(case(*profiles), KNOB, stances))
    wants = [each.want for each in found if isinstance(each, Recommendation)]
    said = [each.settled for each in found if isinstance(each, Weighed)]
    assert len(wants) <= 1
    return wants[0] if wants else case().rows[KNOB].now, said


@given(STANCES, st.frozensets(st.sampled_from(Profile), min_size=1))
def test_what_all_can_live_with_is_found_where_there_is_any(
    stances: dict[Profile, Stance], profiles: frozenset[Profile]
) -> None:
    value, said = asked(stances, profiles)
    here = [stances[profile] for profile in Profile if profile in stances.keys() & profiles]
    common = {stance.want for stance in here if all(other.accepts(stance.want) for other in here)}
    if common:
        assert all(stance.accepts(value) for stance in here)
    elif here:
        assert here[0].accepts(value) or value == here[0].want
        assert all(stance.content(value) for stance in here) or "loses most" in said[0]


@given(STANCES, st.sampled_from(Profile))
def test_one_profile_alone_gets_what_it_wants_and_nothing_is_weighed(
    stances: dict[Profile, Stance], profile: Profile
) -> None:
    value, said = asked(stances, frozenset({profile}))
    assert not said
    assert profile not in stances or stances[profile].content(value)


@given(STANCES)
def test_where_nobody_was_named_nobody_is_harmed(stances: dict[Profile, Stance]) -> None:
    value, said = asked(stances, frozenset())
    assert not said
    assert value == case().rows[KNOB].now or all(stance.accepts(value) for stance in stances.values())


@given(st.integers(-9, 99), st.integers(-9, 99), st.integers(-99, 199))
def test_numbers_hold_what_is_between_them(low: int, high: int, value: int) -> None:
    assert (str(value) in Numbers(low, high)) is (low <= value <= high)
    assert "n/a" not in Numbers(low, high)
