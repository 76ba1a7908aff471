"""Comments of the contract as text, and the errors in them."""

from pathlib import Path

from gateway.openapi.comments import comments_of, described, markdown, reasons_in
from tests.unit.gateway.openapi.made_up import compiled


def test_each_commented_thing_is_found_by_its_name(tmp_path: Path) -> None:
    text = """
        // A service.
        service ThingService {
          // A call.
          // buf:lint:ignore RPC_RESPONSE_STANDARD_NAME - not for readers
          rpc Get(Thing) returns (Thing);
        }
        // A message,
        //
        //   in a table
        message Thing {
          // An enum.
          enum Kind {
            // buf:lint:ignore ENUM_VALUE_PREFIX - not for readers
            bare = 0;
            // A value.
            small = 1;
          }
          message Inner { int32 uncommented = 1; }
          // A oneof.
          oneof either {
            // A field.
            string name = 1;
          }
        }"""

    found = {name: text for name, text in comments_of(compiled(tmp_path, text)).items() if "made.v1" in name}

    assert found == {
        "made.v1.ThingService": "A service.",
        "made.v1.ThingService.Get": "A call.",
        "made.v1.Thing": "A message,\n\n  in a table",
        "made.v1.Thing.Kind": "An enum.",
        "made.v1.Thing.Kind.small": "A value.",
        "made.v1.Thing.name": "A field.",
    }


def test_errors_are_taken_out_of_a_comment() -> None:
    comment = "Does it.\n\nINTERNAL: a fault.\nNOT_FOUND: there is\nnone (reason NO_JOB).\n\nMore: text."

    assert described(comment) == (
        "Does it.\n\n\nMore: text.",
        {"INTERNAL": "a fault.", "NOT_FOUND": "there is none (reason NO_JOB)."},
    )


def test_reasons_are_neither_codes_nor_settings() -> None:
    text = "no UUID (reason OVERLOADED), TOO_MANY or TOO_MANY (setting MAX_WAIT, 60 s), as UNAVAILABLE"

    assert reasons_in(text) == ["OVERLOADED", "TOO_MANY"]


def test_indented_lines_stay_as_they_are() -> None:
    assert markdown("Rows:\n  a   b\n  c\nEnd") == "Rows:\n\n```text\na   b\nc\n```\nEnd"
