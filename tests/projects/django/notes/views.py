"""The site's pages."""

from django.http import HttpRequest, HttpResponse

from notes.models import Note


def index(_request: HttpRequest) -> HttpResponse:
    """Return how many notes there are, and which fields a note has."""
    fields = ", ".join(field.name for field in Note._meta.get_fields())
    return HttpResponse(f"{Note.objects.count()} notes of {fields}\n")
