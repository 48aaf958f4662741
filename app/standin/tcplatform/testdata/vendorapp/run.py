"""An App of a few lines on TcEx, ThreatConnect's own framework, in version 4 or 5.

It answers each request with the request's own body, and says in the header X-Seen what else it saw of it.
"""

import io
import json
import logging

from tcex import TcEx


def answer_request(environ, start_response):
    """Answer in the way of WSGI, as the framework asks for it."""
    name = (environ['PATH_INFO'] or '').rpartition('/')[2]
    if name == 'fail':
        raise RuntimeError('on purpose')
    stream = environ['wsgi.input']
    body = stream.read() if isinstance(stream, io.BytesIO) else b''
    if name == 'fixed':
        body = b'fixed \x00\xff'
    inputs = tcex.inputs.model
    seen = {
        'method': environ['REQUEST_METHOD'],
        'path': environ['PATH_INFO'],
        'query': environ['QUERY_STRING'],
        'headers': {key[5:]: value for key, value in environ.items() if key.startswith('HTTP_')},
        'type': environ.get('CONTENT_TYPE'),
        'length': environ.get('CONTENT_LENGTH'),
        'body': type(stream).__name__,
        'token': (environ.get('api_token') or '')[:4],
        'inputs': [inputs.tc_api_access_id, inputs.unset],
    }
    headers = [
        ('Content-Length', str(len(body))),
        ('Content-Type', 'application/octet-stream'),
        ('X-Seen', json.dumps(seen)),
        ('X-Twice', 'one'),
        ('X-Twice', 'two'),
    ]
    start_response({'missing': '404 Not Found', 'made': '201 Created'}.get(name, '200 OK'), headers)
    return [body]


tcex = TcEx()
if str(tcex.inputs.model.quiet) == 'true':
    logging.disable(logging.WARNING)
service = tcex.app.service
service.api_event_callback = answer_request
service.listen()
service.heartbeat()
service.ready = True
while service.loop_forever(sleep=1):
    pass
tcex.exit.exit(msg='ended in order')
