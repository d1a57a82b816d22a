"""Serializers that take exactly what they know, and say which field is wrong."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from ilert.common.text import MAX_ID


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt option must not be lost in silence.

    What clients send back as they got it, read-only fields and those in `ignored`, is taken and not looked at.
    """

    ignored: tuple[str, ...] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields and name not in self.ignored]
            if unknown:
                raise serializers.ValidationError({str(name): ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class IdField(serializers.IntegerField):
    """The id of something."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)


class RefSerializer(Strict):
    """`{id, name}`: something else, by its id; the name is for people who read along."""

    id = IdField()
    name = serializers.CharField(read_only=True, source="__str__")

    # Other resources are given back whole by some clients; only the id counts.
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if name == "id"}
        return super().to_internal_value(data)


class WordField(serializers.ChoiceField):
    """One of our choices, in capitals as iLert writes them: `high` is `HIGH`."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        self.words = {str(value).upper(): value for value, _ in choices}
        super().__init__(choices=[(word, word) for word in self.words], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return self.words[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> Any:
        return str(value).upper()
