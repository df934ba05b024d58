"""The Django project: settings, pages, API, live updates, and how the rooms are composed."""
