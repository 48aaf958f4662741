"""Reads a ThreatConnect with the vendor's own client and writes what it saw, as one JSON object.

Arguments: base of the API, Access ID, Secret Key. The standard input is a JSON object that says what to read.
"""
import inspect
import json
import sys
import time
from importlib.metadata import version

from tcex.api.tc.v3._gen.model._filter_model import FilterModel
from tcex.api.tc.v3.filter_abc import FilterABC
from tcex.api.tc.v3.tql.tql_operator import TqlOperator
from tcex.api.tc.v3.v3 import V3
from tcex.input.field_type.sensitive import Sensitive
from tcex.requests_tc.auth.hmac_auth import HmacAuth
from tcex.requests_tc.tc_session import TcSession

base, access_id, secret_key = sys.argv[1:]
asked = json.load(sys.stdin)


def connect(access_id=access_id, secret_key=secret_key):
    return V3(TcSession(auth=HmacAuth(access_id, Sensitive(secret_key)), base_url=base))


def members(item):
    """All members of an object under the names of the API; the two versions come with different versions of pydantic."""
    if hasattr(item.model, 'model_dump_json'):
        return json.loads(item.model.model_dump_json(by_alias=True, exclude_none=True))
    return json.loads(item.model.json(by_alias=True, exclude_none=True))


def narrow(collection, filters):
    """Adds filters such as ["has_tag.name", "EQ", "Phishing"] by the client's own methods."""
    nested = {}
    for path, operator, value in filters:
        *first, last = path.split('.')
        target = collection.filter
        for name in first:
            if name not in nested:
                nested[name] = getattr(target, name)
            target = nested[name]
        getattr(target, last)(TqlOperator[operator], value)
    return collection


def select(asked):
    items = narrow(api.ti.indicators(params=dict(asked['params'] or {})), asked['filters'])
    count = len(items)
    ids, pages, last = [], 0, None
    for item in items:
        ids.append(item.model.id)
        if items.request is not last:
            pages, last = pages + 1, items.request
    return {'tql': items.tql.as_str, 'count': count, 'ids': ids, 'pages': pages}


def refusal(items):
    """What the client is told, and what it raises; None where the first page comes."""
    try:
        next(iter(items), None)
    except RuntimeError as error:
        return {'status': items.request.status_code, 'body': items.request.json(), 'code': error.args[0]}
    return None


def read_keywords(collection):
    """The keywords of the client's own filters, which of them the API refuses, and those that it lists, read as the
    vendor's generator of filters reads them."""
    used, refused = {}, []
    for name, method in inspect.getmembers(collection().filter):
        if name.startswith('_') or name in ('tql', 'util', 'list_types', 'implemented_keywords'):
            continue
        items = collection(params={'resultLimit': 1})
        if isinstance(method, FilterABC):
            getattr(items.filter, name).id(TqlOperator.GT, 0)
        else:
            takes = str(list(inspect.signature(method).parameters.values())[1].annotation)
            value = '192.0.2.0/24'
            if 'datetime' in takes:
                value = '2024-05-01T00:00:00Z'
            elif 'int' in takes:
                value = 7
            elif 'bool' in takes:
                value = True
            getattr(items.filter, name)(TqlOperator.EQ, value)
        keyword = items.tql.filters[0]['keyword']
        used[keyword] = items.tql.filters[0]['type'].name
        if refusal(items):
            refused.append(keyword)
    listed = {}
    for option in collection().tql_options:
        listed[option['keyword']] = FilterModel(**option).extra.tql_type.removeprefix('TqlType.')
        if option['keyword'].startswith('has') and used.get(option['keyword']) == 'SUB_QUERY':
            listed[option['keyword']] = 'SUB_QUERY'  # the generator goes by the keyword there
    return {'used': used, 'refused': refused, 'listed': listed}


def refused_query():
    items = api.ti.indicators()
    items.filter.tql = '('
    return refusal(items)


def refused_clock():
    clock = time.time
    time.time = lambda: clock() - 360
    try:
        return refusal(api.ti.indicators())
    finally:
        time.time = clock


api = connect()
fields = api.ti.indicator().available_fields
one = api.ti.indicator(id=asked['one'])
one.get(params={'fields': ['_all_']})
json.dump({
    'version': version('tcex'),
    'owners': [members(o) for o in api.security.owners(params={'resultLimit': 2})],
    'ownerCount': len(api.security.owners()),
    'selections': [select(s) for s in asked['selections']],
    'fields': fields,
    'rows': [members(i) for i in api.ti.indicators(params={'fields': list(fields), 'resultLimit': 500})],
    'one': members(one),
    'deleted': [[members(i) for i in api.ti.indicators().deleted(**d)] for d in asked['deleted']],
    'attributeTypes': [members(a)['name'] for a in api.attribute_types(params={'resultLimit': 4})],
    'properties': sorted(api.ti.indicator().properties),
    'keywords': read_keywords(api.ti.indicators),
    'ownerKeywords': read_keywords(api.security.owners),
    'refusals': {
        'query': refused_query(),
        'owner': refusal(api.ti.indicators(params={'owner': 'No Such Owner'})),
        'field': refusal(api.ti.indicators(params={'fields': ['nothing']})),
        'limit': refusal(api.ti.indicators(params={'resultLimit': 10001})),
        'sorting': refusal(api.ti.indicators(params={'sorting': 'nope asc'})),
        'key': refusal(connect(secret_key=secret_key + ' ').ti.indicators()),
        'user': refusal(connect(access_id='99999999999999999999').ti.indicators()),
        'clock': refused_clock(),
    },
}, sys.stdout)
