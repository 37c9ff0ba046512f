"""A hundred messages of twenty-five services that do not exist, and what should be said of them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

#: Service, event, and how its processor says it: subtitle, link.
WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "forge": {
        "push": ("{user} pushed {count} commits to {repo}", "https://forge.test/{repo}"),
        "fork": ("{user} forked {repo}", "https://forge.test/{repo}/forks"),
        "star": ("{user} starred {repo}", ""),
        "tag": ("{user} tagged {repo} as {tag}", "https://forge.test/{repo}/t/{tag}"),
    },
    "mill": {
        "start": ("build {id} of {package} began", "https://mill.test/{id}"),
        "done": ("build {id} of {package} is done", "https://mill.test/{id}"),
        "failed": ("build {id} of {package} failed: {reason}", "https://mill.test/{id}"),
        "cancel": ("{user} cancelled build {id}", "https://mill.test/{id}"),
    },
    "gate": {
        "request": ("{user} wants {package} in {branch}", "https://gate.test/{branch}"),
        "vote": ("{user} voted {vote} on {package}", "https://gate.test/{package}"),
        "pushed": ("{package} went to {branch}", "https://gate.test/{branch}"),
        "revoke": ("{user} took {package} back", ""),
    },
    "wiki": {
        "edit": ("{user} edited {page}", "https://wiki.test/{page}"),
        "new": ("{user} wrote {page}", "https://wiki.test/{page}"),
        "delete": ("{user} deleted {page}", ""),
        "upload": ("{user} uploaded {file}", "https://wiki.test/f/{file}"),
    },
    "tracker": {
        "open": ("{user} reported #{id}: {title}", "https://tracker.test/{id}"),
        "close": ("{user} closed #{id} as {how}", "https://tracker.test/{id}"),
        "comment": ("{user} commented on #{id}", "https://tracker.test/{id}#last"),
        "assign": ("#{id} belongs to {user}", "https://tracker.test/{id}"),
    },
}
_EVENTS = {
    "up": ("{host} is up", "https://{service}.test/{host}"),
    "down": ("{host} is down: {reason}", "https://{service}.test/{host}"),
    "load": ("{host} has a load of {load}", ""),
    "ack": ("{user} looks after {host}", "https://{service}.test/{host}/log"),
}
for _service in (
    "mail", "dns", "web", "db", "cache", "backup", "mirror", "proxy", "auth", "queue", "search",
    "chat", "video", "maps", "clock", "print", "stats", "vault", "cron", "shop",
):  # fmt: skip
    WORDS[_service] = {
        event: (text, link.replace("{service}", _service))
        for event, (text, link) in _EVENTS.items()
    }

SOURCE = """
import json
from fedmsg.meta.base import BaseProcessor

WORDS = json.loads(%r)

class Processor(BaseProcessor):
    __description__ = __link__ = __docs__ = __obj__ = "of a town"

    def subtitle(self, msg, **config):
        return WORDS[self.__name__][msg["topic"].split(".")[-1]][0].format(**msg["msg"])

    def link(self, msg, **config):
        return WORDS[self.__name__][msg["topic"].split(".")[-1]][1].format(**msg["msg"])

    def usernames(self, msg, **config):
        return {msg["msg"]["user"]} if "user" in msg["msg"] else set()

    def packages(self, msg, **config):
        return {msg["msg"]["package"]} if "package" in msg["msg"] else set()

for service in WORDS:
    globals()[service.title()] = type(service.title(), (Processor,), {"__name__": service})
"""


def source() -> str:
    """Return the module of the distribution that knows these services."""
    return SOURCE % json.dumps(WORDS)


def points() -> str:
    """Return its entry points."""
    return "\n".join(f"{service} = fedmsg_meta_town:{service.title()}" for service in WORDS)


class Sample(NamedTuple):
    """A message, and what ``fedmsg-tail --terse`` says of it."""

    topic: str
    body: dict[str, Any]
    line: str


def _read(text: str) -> list[Sample]:
    samples = []
    for row in text.strip().splitlines():
        topic, body, line = (cell.strip() for cell in row.split("|"))
        pairs = (pair.partition("=") for pair in body.split(";"))
        samples.append(Sample(topic, {key.strip(): value.strip() for key, _, value in pairs}, line))
    return samples


#: Topic | fields of the body | subtitle and link.
MESSAGES = _read("""
forge.push | user=ann; count=3; repo=bread | ann pushed 3 commits to bread https://forge.test/bread
forge.fork | user=bob; repo=bread | bob forked bread https://forge.test/bread/forks
forge.star | user=eve; repo=salt | eve starred salt
forge.tag | user=ann; repo=salt; tag=v2 | ann tagged salt as v2 https://forge.test/salt/t/v2
mill.start | id=71; package=bread | build 71 of bread began https://mill.test/71
mill.done | id=71; package=bread | build 71 of bread is done https://mill.test/71
mill.failed | id=72; package=salt; reason=too dry | build 72 of salt failed: too dry https://mill.test/72
mill.cancel | user=eve; id=73 | eve cancelled build 73 https://mill.test/73
gate.request | user=ann; package=bread; branch=stable | ann wants bread in stable https://gate.test/stable
gate.vote | user=bob; package=bread; vote=+1 | bob voted +1 on bread https://gate.test/bread
gate.pushed | package=bread; branch=stable | bread went to stable https://gate.test/stable
gate.revoke | user=ann; package=salt | ann took salt back
wiki.edit | user=eve; page=Ovens | eve edited Ovens https://wiki.test/Ovens
wiki.new | user=bob; page=Bäckerei | bob wrote Bäckerei https://wiki.test/Bäckerei
wiki.delete | user=eve; page=Spam | eve deleted Spam
wiki.upload | user=ann; file=oven.svg | ann uploaded oven.svg https://wiki.test/f/oven.svg
tracker.open | user=eve; id=9; title=Mould | eve reported #9: Mould https://tracker.test/9
tracker.close | user=ann; id=9; how=fixed | ann closed #9 as fixed https://tracker.test/9
tracker.comment | user=bob; id=9 | bob commented on #9 https://tracker.test/9#last
tracker.assign | user=ann; id=10 | #10 belongs to ann https://tracker.test/10
mail.up | host=m1 | m1 is up https://mail.test/m1
mail.down | host=m2; reason=full | m2 is down: full https://mail.test/m2
mail.load | host=m1; load=0.4 | m1 has a load of 0.4
mail.ack | user=ann; host=m2 | ann looks after m2 https://mail.test/m2/log
dns.up | host=ns1 | ns1 is up https://dns.test/ns1
dns.down | host=ns2; reason=no answer | ns2 is down: no answer https://dns.test/ns2
dns.load | host=ns1; load=1 | ns1 has a load of 1
dns.ack | user=bob; host=ns2 | bob looks after ns2 https://dns.test/ns2/log
web.up | host=www | www is up https://web.test/www
web.down | host=old; reason=502 | old is down: 502 https://web.test/old
web.load | host=www; load=17 | www has a load of 17
web.ack | user=eve; host=old | eve looks after old https://web.test/old/log
db.up | host=pg1 | pg1 is up https://db.test/pg1
db.down | host=pg2; reason=disk | pg2 is down: disk https://db.test/pg2
db.load | host=pg1; load=3.25 | pg1 has a load of 3.25
db.ack | user=zoe; host=pg2 | zoe looks after pg2 https://db.test/pg2/log
cache.up | host=c1 | c1 is up https://cache.test/c1
cache.down | host=c2; reason=cold | c2 is down: cold https://cache.test/c2
cache.load | host=c1; load=0 | c1 has a load of 0
cache.ack | user=ann; host=c2 | ann looks after c2 https://cache.test/c2/log
backup.up | host=vault | vault is up https://backup.test/vault
backup.down | host=tape; reason=jammed | tape is down: jammed https://backup.test/tape
backup.load | host=tape; load=2 | tape has a load of 2
backup.ack | user=bob; host=tape | bob looks after tape https://backup.test/tape/log
mirror.up | host=fr | fr is up https://mirror.test/fr
mirror.down | host=jp; reason=stale | jp is down: stale https://mirror.test/jp
mirror.load | host=fr; load=9 | fr has a load of 9
mirror.ack | user=mia; host=jp | mia looks after jp https://mirror.test/jp/log
proxy.up | host=p1 | p1 is up https://proxy.test/p1
proxy.down | host=p2; reason=loop | p2 is down: loop https://proxy.test/p2
proxy.load | host=p1; load=5 | p1 has a load of 5
proxy.ack | user=eve; host=p2 | eve looks after p2 https://proxy.test/p2/log
auth.up | host=idp | idp is up https://auth.test/idp
auth.down | host=idp2; reason=clock | idp2 is down: clock https://auth.test/idp2
auth.load | host=idp; load=0.1 | idp has a load of 0.1
auth.ack | user=ann; host=idp2 | ann looks after idp2 https://auth.test/idp2/log
queue.up | host=q1 | q1 is up https://queue.test/q1
queue.down | host=q2; reason=stuck | q2 is down: stuck https://queue.test/q2
queue.load | host=q1; load=8 | q1 has a load of 8
queue.ack | user=bob; host=q2 | bob looks after q2 https://queue.test/q2/log
search.up | host=s1 | s1 is up https://search.test/s1
search.down | host=s2; reason=red | s2 is down: red https://search.test/s2
search.load | host=s1; load=6.5 | s1 has a load of 6.5
search.ack | user=zoe; host=s2 | zoe looks after s2 https://search.test/s2/log
chat.up | host=irc | irc is up https://chat.test/irc
chat.down | host=mx; reason=split | mx is down: split https://chat.test/mx
chat.load | host=irc; load=0.2 | irc has a load of 0.2
chat.ack | user=mia; host=mx | mia looks after mx https://chat.test/mx/log
video.up | host=v1 | v1 is up https://video.test/v1
video.down | host=v2; reason=dark | v2 is down: dark https://video.test/v2
video.load | host=v1; load=40 | v1 has a load of 40
video.ack | user=ann; host=v2 | ann looks after v2 https://video.test/v2/log
maps.up | host=t1 | t1 is up https://maps.test/t1
maps.down | host=t2; reason=lost | t2 is down: lost https://maps.test/t2
maps.load | host=t1; load=4 | t1 has a load of 4
maps.ack | user=eve; host=t2 | eve looks after t2 https://maps.test/t2/log
clock.up | host=ntp | ntp is up https://clock.test/ntp
clock.down | host=gps; reason=drift | gps is down: drift https://clock.test/gps
clock.load | host=ntp; load=0.01 | ntp has a load of 0.01
clock.ack | user=bob; host=gps | bob looks after gps https://clock.test/gps/log
print.up | host=lp | lp is up https://print.test/lp
print.down | host=lp2; reason=on fire | lp2 is down: on fire https://print.test/lp2
print.load | host=lp; load=1 | lp has a load of 1
print.ack | user=zoe; host=lp2 | zoe looks after lp2 https://print.test/lp2/log
stats.up | host=g1 | g1 is up https://stats.test/g1
stats.down | host=g2; reason=NaN | g2 is down: NaN https://stats.test/g2
stats.load | host=g1; load=33 | g1 has a load of 33
stats.ack | user=mia; host=g2 | mia looks after g2 https://stats.test/g2/log
vault.up | host=k1 | k1 is up https://vault.test/k1
vault.down | host=k2; reason=sealed | k2 is down: sealed https://vault.test/k2
vault.load | host=k1; load=0.5 | k1 has a load of 0.5
vault.ack | user=ann; host=k2 | ann looks after k2 https://vault.test/k2/log
cron.up | host=j1 | j1 is up https://cron.test/j1
cron.down | host=j2; reason=missed | j2 is down: missed https://cron.test/j2
cron.load | host=j1; load=2.5 | j1 has a load of 2.5
cron.ack | user=eve; host=j2 | eve looks after j2 https://cron.test/j2/log
shop.up | host=till | till is up https://shop.test/till
shop.down | host=scale; reason=empty | scale is down: empty https://shop.test/scale
shop.load | host=till; load=7 | till has a load of 7
shop.ack | user=bob; host=till | bob looks after till https://shop.test/till/log
""")  # noqa: E501
