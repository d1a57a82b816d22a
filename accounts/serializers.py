"""REST: how people are written down."""

from typing import Any

from rest_framework import serializers

from accounts.models import Role, Team, User
from ilert.common.rest.serializers import IdField, RefSerializer, Strict, WordField


class UserSerializer(Strict):
    id = IdField(read_only=True)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True, default="")
    email = serializers.EmailField(max_length=254)
    role = WordField(Role.choices, default=Role.MEMBER)
    timezone = serializers.CharField(source="time_zone", read_only=True)
    active = serializers.BooleanField(source="is_active", read_only=True)

    def validate_email(self, email: str) -> str:
        if User.objects.filter(email__iexact=email).exists():
            raise serializers.ValidationError("Somebody has this e-mail address already.")
        return User.objects.normalize_email(email)


class TeamField(RefSerializer):
    """The team that something belongs to; null is everyone's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_null=True, default=None, **kwargs)

    def to_internal_value(self, data: Any) -> Team:
        team = Team.objects.filter(pk=super().to_internal_value(data)["id"]).first()
        if team is None:
            raise serializers.ValidationError({"id": ["There is no such team."]})
        return team
