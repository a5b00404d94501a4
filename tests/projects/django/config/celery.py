"""The task that the worker executes."""

import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("config", broker=os.environ.get("BROKER_URL"))


@app.task
def publish(text: str) -> None:
    """Write a file that the web service may serve."""
    Path("public", "text").write_text(text)
