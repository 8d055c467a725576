"""The hub's certificate as TLS uses it. Certificates are made by ``hub.upkeep``, which has no sockets."""

import ssl
from pathlib import Path
from typing import Final

TICKETS: Final = 1  # for resuming; a second one is for browsers that open links in parallel


class CertificateError(Exception):
    """A certificate or key cannot be used; the text names the file and says what to do."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later for the hub. Raises CertificateError when the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = TICKETS
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise CertificateError(
                f"{path}: cannot be read ({error.strerror}); make certificates with: telemetrio init"
            ) from None
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        why = error.reason.lower().replace("_", " ") if error.reason else "they are not both PEM"
        text = f"{certificate} and {key} do not fit together ({why}); name a certificate and its own key"
        raise CertificateError(text) from None
    return context
