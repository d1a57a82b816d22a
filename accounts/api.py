"""REST: people."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.models import User
from accounts.serializers import UserSerializer


class UserViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[User]):
    """Everybody sees who there is: they are asked, reassigned to and read on timelines."""

    serializer_class = UserSerializer
    ascending = True

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def current(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Who the key belongs to."""
        return Response(self.get_serializer(request.user).data)
