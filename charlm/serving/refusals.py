"""What is refused, in the form of OpenAI's errors: {"error": {message, type, param, code}}."""

import math
from typing import Any

from starlette.responses import JSONResponse, Response

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Refusal(Exception):
    """A request is not answered; `message` says what is wrong with it and what would be right.

    param:   the field that is wrong
    code:    a word for programs
    headers: of the answer
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """Give the body of the answer."""
        usual = "invalid_request_error" if self.status < 500 else "server_error"
        kind = TYPES.get(self.status, usual)
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def bad(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Refuse what was asked for."""
    return Refusal(400, message, param=param, code=code)


def busy(seconds: float) -> Refusal:
    """Ask the client to come again later."""
    wait = max(1, math.ceil(seconds))
    return Refusal(
        429,
        f"the server is busy: come again in {wait} s",
        code="busy",
        headers={"Retry-After": str(wait)},
    )


def refused(refusal: Refusal) -> Response:
    """Give the answer to a request that is refused."""
    return JSONResponse(refusal.to_json(), refusal.status, refusal.headers)


MISTAKE = Refusal(500, "the server made a mistake; its log says more")
