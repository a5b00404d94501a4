"""Common alternatives to the service: `python bench/peers.py PORT REDIS_PORT` runs the Bottle app.

Under waitress, `/constant` answers without Redis, and `/` with redis-py's `incr`. The Flask app is for gunicorn.
"""

import logging
import os
import sys

import redis


def serve_bottle(port: int, redis_port: int) -> None:
    """Serve the constant and the counter."""
    import bottle  # noqa: PLC0415 - missing in Flask's environment
    import waitress  # noqa: PLC0415 - missing in Flask's environment

    client, app = redis.Redis(port=redis_port), bottle.Bottle()
    app.route("/constant", "GET", lambda: "Hello World! 1 times.")
    app.route("/", "GET", lambda: f"Hello World! {client.incr('hits')} times.")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(app, host="127.0.0.1", port=port, threads=8, _quiet=True)


def flask_app() -> object:
    """Return the counter of Redis's tutorials: INCR, then GET."""
    import flask  # noqa: PLC0415 - missing in Bottle's environment

    client, app = redis.Redis(port=int(os.environ["PORT_REDIS"])), flask.Flask(__name__)

    def hello() -> str:
        client.incr("hits")
        return f"Hello World! {int(client.get('hits'))} times."  # type: ignore[arg-type]

    app.add_url_rule("/", view_func=hello)
    return app


if __name__ == "__main__":
    serve_bottle(int(sys.argv[1]), int(sys.argv[2]))
