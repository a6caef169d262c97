from chat import views
from django.urls import path

urlpatterns = [
    path("", views.home),
    path("login", views.log_in),
    path("upload", views.upload),
    path("stream/<slug:key>", views.stream),
    path("patient/<slug:key>", views.patient),
    path("rooms/<slug:room>", views.say),
    path("rooms/<slug:room>/events", views.events),
    path("who", views.who),
    path("broken", views.broken),
    path("export", views.export),
]
