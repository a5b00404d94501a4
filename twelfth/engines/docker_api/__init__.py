"""What the engines docker and swarm share: a Docker daemon's API, and containers as it describes them."""
