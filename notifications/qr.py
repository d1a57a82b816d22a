"""QR codes as SVG that a strict content security policy allows: attributes only, no style."""

import qrcode
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

# Four light modules around the code belong to it (ISO/IEC 18004); scanners fail without them on a dark page.
QUIET_ZONE = 4


def svg(content: str, label: str) -> SafeString:
    """Return `content` as a QR code, dark on white in every theme, with `label` for those who cannot see it."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=QUIET_ZONE)
    code.add_data(content)
    modules = code.get_matrix()
    size = len(modules)
    return format_html(
        '<svg class="qr" role="img" aria-label="{}" viewBox="0 0 {} {}" shape-rendering="crispEdges">'
        '<path fill="#fff" d="M0 0h{}v{}H0z"/><path fill="#000" d="{}"/></svg>',
        label,
        size,
        size,
        size,
        size,
        # Numbers and letters of our own making.
        mark_safe("".join(_row(y, row) for y, row in enumerate(modules))),  # noqa: S308  # nosec B308 B703
    )


def _row(y: int, row: list[bool]) -> str:
    return "".join(f"M{x} {y}h1v1h-1z" for x, dark in enumerate(row) if dark)
