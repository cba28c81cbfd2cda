"""What a cloud image reads when it boots for the first time: who may log in, its name, its network."""
