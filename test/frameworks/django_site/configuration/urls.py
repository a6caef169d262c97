from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("", views.home, name="home"),
    path("add", views.add, name="add"),
    path("upload", views.upload, name="upload"),
    path("stream/<slug:key>", views.stream, name="stream"),
    path("export", views.export, name="export"),
    path("who", views.who, name="who"),
    path("broken", views.broken, name="broken"),
    path("admin/", admin.site.urls),
]
