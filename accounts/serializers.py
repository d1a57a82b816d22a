"""REST: how people are written down."""

from rest_framework import serializers

from accounts.models import Role
from ilert.common.rest.serializers import IdField, Strict, WordField


class UserSerializer(Strict):
    id = IdField(read_only=True)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True, default="")
    email = serializers.EmailField(max_length=254)
    role = WordField(Role.choices, default=Role.MEMBER)
    timezone = serializers.CharField(source="time_zone", read_only=True)
    active = serializers.BooleanField(source="is_active", read_only=True)
