"""Many rows in one statement: each column goes to PostgreSQL as one array.

Django's own bulk statements cost ten times as much here, as they prepare every value of every row by itself.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

import orjson
from django.db import connection, models
from django.db.models import Field, Model
from django.db.models.base import ModelState

from ilert.common import arrays
from ilert.common.arrays import Array
from ilert.common.statement import Statement

Row = TypeVar("Row", bound=Model)
Column = Callable[[list[Any]], Array]

# By the first of these that a field is one of. A text is cast where the column is no text.
_COLUMNS: dict[type[models.Field[Any, Any]], Column] = {
    models.BooleanField: arrays.booleans,
    models.IntegerField: arrays.integers,
    models.DateTimeField: arrays.times,
    models.UUIDField: lambda values: arrays.uuids([value if value is None else value.bytes for value in values]),
    models.JSONField: lambda values: arrays.encoded([orjson.dumps(value) for value in values]),
    models.CharField: arrays.texts,
    models.TextField: arrays.texts,
}


def execute(statement: Statement, *columns: Array) -> None:
    """Execute a statement on Django's connection, in its transaction."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        statement.run(connection.connection, columns)


def row(model: type[Row], **values: Any) -> Row:
    """Return an unsaved row, as `model(**values)` does in ten times the time. Foreign keys are given as ids.

    Fields that are not named have their defaults as they were at the first call: name those whose default is a clock.
    Raises TypeError for a name that is no field's. The signals of Django's own constructor are not sent.
    """
    defaults = _defaults(model)
    fields = defaults | values
    if len(fields) > len(defaults):
        raise TypeError(f"{model.__name__} has no field {', '.join(sorted(fields.keys() - defaults.keys()))}.")
    made = model.__new__(model)
    vars(made).update(fields, _state=ModelState())
    return made


@cache
def _defaults(model: type[Model]) -> dict[str, Any]:
    return {field.attname: field.get_default() for field in model._meta.concrete_fields}


def insert(rows: Sequence[Model]) -> None:
    """Insert unsaved rows of one model. One whose key is there already stays as it is.

    What the database fills in (`db_default`) is not read back. Without signals and `save()`, as in `bulk_create`.
    """
    if rows:
        statement, columns = _insertion(type(rows[0]))
        execute(statement, *[write([read(row) for row in rows]) for read, write in columns])


@cache
def _insertion(model: type[Model]) -> tuple[Statement, list[tuple[Callable[[Model], Any], Column]]]:
    """Return the statement, and for each of its columns how a row's value is read and how all of them are written."""
    fields = [field for field in model._meta.concrete_fields if not _is_filled_in(field)]
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(f'"{field.column}"{_cast(field)}' for field in fields)
    parameters = ", ".join(f"${place}" for place, _ in enumerate(fields, start=1))
    statement = Statement(
        f"ilert_insert_{model._meta.db_table}",
        # Names of tables and columns come from the models.
        f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {values} FROM unnest({parameters}) AS new ({names}) '  # noqa: S608  # nosec B608
        "ON CONFLICT DO NOTHING",
    )
    return statement, [(_reader(field), _writer(field)) for field in fields]


def _is_filled_in(field: "Field[Any, Any]") -> bool:
    return field.primary_key and (field.has_db_default() or field.get_internal_type().endswith("AutoField"))


def _cast(field: "Field[Any, Any]") -> str:
    # All else becomes what its column is: a cast to varchar(5) would cut a longer text instead of refusing it.
    return "::jsonb" if isinstance(field, models.JSONField) else ""


def _reader(field: "Field[Any, Any]") -> Callable[[Model], Any]:
    read = attrgetter(field.attname)
    if type(field) in _COLUMNS or field.is_relation or isinstance(field, models.IntegerField):
        return read
    # Fields of our own may change what is stored: an encrypted one does.
    return lambda row: field.get_db_prep_save(read(row), connection)


def _writer(field: "Field[Any, Any]") -> Column:
    if field.is_relation:
        return _writer(cast("models.ForeignKey[Any, Any]", field).target_field)
    return next(write for kind, write in _COLUMNS.items() if isinstance(field, kind))
