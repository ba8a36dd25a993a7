"""lm-evaluation-harness's own command line, with charlm among its models.

    python -m charlm.adapters.lm_eval run --model charlm --model_args pretrained=runs/book ...

Releases that look for entry points know charlm without it.
"""

import sys
from importlib.util import find_spec

from charlm.errors import CharlmError, UsageError


def main() -> int:
    """Run the harness on the words of the command line; give the exit code."""
    try:
        if find_spec("lm_eval") is None:
            raise UsageError("lm-evaluation-harness is not installed", "pip install lm-eval")
        from lm_eval.__main__ import cli_evaluate

        import charlm.adapters.harness_model  # noqa: F401  (registers the model)

        cli_evaluate()
    except CharlmError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error}{hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
