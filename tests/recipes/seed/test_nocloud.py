from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import ConflictError, NotFoundError, UsageError
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.recipes.seed import nocloud
from virtkit.recipes.seed.actions import WriteSeed
from virtkit.recipes.seed.nocloud import Seed

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDe admin@desk"
SEED = Seed("web1", "i-1", "admin", (KEY,))


def test_the_three_files_say_what_was_asked_for() -> None:
    files = {name: yaml.safe_load(content) for name, content in nocloud.files(SEED).items()}
    assert files["meta-data"] == {"instance-id": "i-1", "local-hostname": "web1"}
    (user,) = files["user-data"]["users"]
    assert (user["name"], user["ssh_authorized_keys"], user["lock_passwd"]) == ("admin", [KEY], True)
    assert files["network-config"]["version"] == 2
    assert all(card["dhcp4"] for card in files["network-config"]["ethernets"].values())


def test_without_a_user_the_keys_go_to_the_image_s_own() -> None:
    said = yaml.safe_load(nocloud.files(replace(SEED, user=""))["user-data"])
    assert said["ssh_authorized_keys"] == [KEY]
    assert "users" not in said


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=40))
def test_a_key_s_comment_comes_back_whatever_is_in_it(comment: str) -> None:
    key = f"ssh-rsa AAAA= {comment}".strip()
    said = yaml.safe_load(nocloud.files(Seed("a", "i", "b", (key,)))["user-data"])
    assert said["users"][0]["ssh_authorized_keys"] == [key]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"hostname": "web_1"}, "hostname is 'web_1'"),
        ({"hostname": "-a"}, "hostname is '-a'"),
        ({"user": "Admin"}, "user is 'Admin'"),
        ({"keys": ("hello",)}, "SSH key is 'hello'"),
        ({"keys": (KEY + "\nruncmd: x",)}, "SSH key is"),
        ({"keys": ()}, "nobody could log in"),
        ({"user_data": "hostname: x\n"}, "first line is 'hostname: x'"),
        ({"user_data": "#cloud-config\na: [\n"}, "user-data: is not YAML"),
        ({"user_data": "#cloud-config\n- a\n"}, "expected a mapping"),
        ({"network": "ethernets: {}\n"}, "network-config: has no version"),
    ],
)
def test_what_cloud_init_would_pass_over_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        nocloud.image(replace(SEED, **wrong))  # type: ignore[arg-type]  # each a field of Seed


def test_a_user_data_of_one_s_own_goes_in_as_it_is() -> None:
    own = "#!/bin/sh\necho hello\n"
    assert nocloud.files(replace(SEED, user_data=own, keys=()))["user-data"] == own.encode()


def test_a_private_key_is_never_put_into_a_guest(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="is a private key") as caught:
        nocloud.keys_of(str(tmp_path / "id"))
    assert caught.value.hint.endswith("id.pub")
    with pytest.raises(NotFoundError):
        nocloud.keys_of(str(tmp_path / "none"))


@pytest.fixture
def step(tmp_path: Path) -> WriteSeed:
    (tmp_path / "own").write_text("#cloud-config\npassword: s3cr3t\n")
    return WriteSeed("/seed.iso", "web1", "i-1", "admin", [KEY], "", "/own")


def test_the_seed_is_written_and_taken_back_and_its_secrets_stay_out_of_the_journal(
    step: WriteSeed, tmp_path: Path
) -> None:
    system = System(tmp_path)
    before = step.capture(system)
    step.apply(system, silent)
    step.verify(system)
    made = tmp_path / "seed.iso"
    assert b"s3cr3t" in made.read_bytes()
    assert made.stat().st_mode & 0o777 == 0o600
    assert "s3cr3t" not in f"{step.data()}{before}{step.capture(system)}"
    for _ in range(2):
        step.undo(system, before)
        assert not made.exists()


def test_a_file_that_is_there_is_not_replaced_by_a_seed(step: WriteSeed, tmp_path: Path) -> None:
    (tmp_path / "seed.iso").write_text("mine")
    with pytest.raises(ConflictError, match="exists already"):
        step.apply(System(tmp_path), silent)
    step.undo(System(tmp_path), step.capture(System(tmp_path)))
    assert (tmp_path / "seed.iso").read_text() == "mine"
