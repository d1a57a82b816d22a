"""What is created, read, replaced and deleted: the five verbs of a resource, with the product's own services behind."""

from typing import Any, ClassVar, Generic, TypeVar

from django.db.models import Model
from django.urls import reverse
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ilert.common.links import absolute

M = TypeVar("M", bound=Model)


class Resource(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[M], Generic[M]):
    """List, read, create (201 with `Location`), replace as a whole, delete; a subclass says with which services."""

    one: ClassVar[str]
    """The name of the route to one of them."""

    def make(self, data: dict[str, Any]) -> M:
        raise NotImplementedError

    def change(self, item: M, data: dict[str, Any]) -> None:
        raise NotImplementedError

    def remove(self, item: M) -> None:
        raise NotImplementedError

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        item = self.make(serializer.validated_data)
        where = absolute(reverse(self.one, args=[item.pk]))
        return Response(self._written(item), status=201, headers={"Location": where})

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        item = self.get_object()
        serializer = self.get_serializer(item, data=request.data)
        serializer.is_valid(raise_exception=True)
        self.change(item, serializer.validated_data)
        return Response(self._written(item))

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.remove(self.get_object())
        return Response(status=204)

    def _written(self, item: M) -> Any:
        """Return it as it is now, read anew: as every later GET shows it."""
        return self.get_serializer(self.get_queryset().get(pk=item.pk)).data
