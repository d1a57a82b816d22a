"""REST: people."""

import logging
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts import invitations, services
from accounts.access import viewer
from accounts.models import User
from accounts.serializers import UserSerializer
from ilert.common.links import absolute

logger = logging.getLogger(__name__)


class UserViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[User]):
    """Everybody sees who there is: they are asked, reassigned to and read on timelines."""

    serializer_class = UserSerializer
    ascending = True

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.all()

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Invite somebody: a mail with a link goes out, by which they set their first password."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        person = services.invite(data["email"], data["name"], data["role"])
        try:
            invitations.send(person, viewer(request))
        except OSError as error:
            # The person is there; an admin can send the invitation again from the page of the person.
            logger.warning("the invitation of %s could not be mailed: %s", person.pk, error)
        where = absolute(reverse("rest-user", args=[person.pk]))
        return Response(self.get_serializer(person).data, status=201, headers={"Location": where})

    def current(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Who the key belongs to."""
        return Response(self.get_serializer(request.user).data)
