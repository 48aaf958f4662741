"""Sends notifications with the vendor's own module and writes what it was answered, one JSON value a line.

Arguments: base of the API, Access ID, Secret Key.
"""
import json
import sys

from tcex.api.tc.v2.notification.notification import Notification
from tcex.input.field_type.sensitive import Sensitive
from tcex.requests_tc.auth.hmac_auth import HmacAuth
from tcex.requests_tc.tc_session import TcSession

base, access_id, secret_key = sys.argv[1:]
notification = Notification(TcSession(auth=HmacAuth(access_id, Sensitive(secret_key)), base_url=base))

notification.org('Import Failed', 'High')
print(json.dumps(notification.send('To **all** & everyone')))
notification.recipients('Import Failed', 'jsmith,devops', 'Low')
print(json.dumps(notification.send('To two')))
notification.recipients('Import Failed', '', 'Low')
print(json.dumps(notification.send('To nobody')))
