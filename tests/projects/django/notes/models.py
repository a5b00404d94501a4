"""The site's data."""

from django.db import models


class Note(models.Model):
    """What somebody wrote down."""

    text = models.TextField()
