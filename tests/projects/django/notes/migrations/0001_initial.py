"""Make the table of notes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """As `manage.py makemigrations` writes it."""

    initial = True
    operations = [
        migrations.CreateModel(
            "Note", [("id", models.BigAutoField(primary_key=True, serialize=False)), ("text", models.TextField())]
        )
    ]
