"""The site's data."""

from django.db import models


class Note(models.Model):
    """A text that a user wrote."""

    text = models.TextField()
