"""Why a request is refused, in OpenAI's form, so that its clients raise the error that fits."""

from typing import Any

from starlette.responses import JSONResponse

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request that is not answered as it wished.

    field: of its body, which is at fault; code: one word for programs
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.code = status, message, field, code
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """Turn it into what clients know."""
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = TYPES.get(self.status, usual)
        fault = {"message": self.message, "type": kind, "param": self.field, "code": self.code}
        return {"error": fault}

    def response(self) -> JSONResponse:
        """Make the answer."""
        return JSONResponse(self.to_json(), self.status, self.headers)


def wrong(field: str, message: str) -> Refusal:
    """Refuse the value of a field."""
    return Refusal(400, f"{field} {message}", field=field, code="invalid_value")
