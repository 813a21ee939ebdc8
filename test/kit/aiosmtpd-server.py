"""A mail server that others wrote (aiosmtpd), for test/kit/aiosmtpd.ts; signatures are checked by dkimpy.

The only argument is JSON: tls (no, starttls, tls), certificate, key, login, utf8, size, dkimRecord. Writes a line of JSON
when it listens and one for every mail. Refuses `nobody@` and puts off `busy@`.
"""

import asyncio
import base64
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])


def say(**line):
    print(json.dumps(line), flush=True)


def authenticate(server, session, envelope, mechanism, data):
    name, password = (part.decode() for part in (data.login, data.password))
    # Not handled: the server is to answer by itself.
    return AuthResult(success=f"{name} {password}" == options["login"], handled=False, auth_data=name)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("nobody@"):
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        if address.startswith("busy@"):
            return "450 4.2.0 Mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        is_signed = None
        if "dkimRecord" in options:
            import dkim

            is_signed = dkim.verify(envelope.content, dnsfunc=lambda name, timeout=5: options["dkimRecord"].encode())
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            user=session.auth_data,
            isSecure=session.ssl is not None or options["tls"] == "tls",
            isUtf8=envelope.smtp_utf8,
            isSigned=is_signed,
            content=base64.b64encode(envelope.content).decode(),
        )
        return "250 2.0.0 Ok"


async def main():
    context = None
    if options["tls"] != "no":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options["certificate"], options["key"])

    def protocol():
        return SMTP(
            Handler(),
            data_size_limit=options["size"],
            enable_SMTPUTF8=options["utf8"],
            tls_context=context if options["tls"] == "starttls" else None,
            require_starttls=options["tls"] == "starttls",
            authenticator=authenticate if "login" in options else None,
            auth_required="login" in options,
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    wrapped = context if options["tls"] == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=wrapped)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
