"""Metadata of the distribution; settings of the tools are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

VERSION = "1.2.0"

# The one table of optional requirements.  Floors are what Debian 12 and the oldest supported
# Python (3.10) can have; a ceiling is there only where a newer release is known to break.
EXTRAS = {
    # pyOpenSSL 23.3 is the first whose store takes cryptography's revocation lists, and
    # cryptography 42 the first that tells times with their zone.
    "crypto": ["cryptography>=42", "pyOpenSSL>=24", "requests>=2.28"],
    "commands": [
        "pygments>=2.14",
        "psutil>=5.9",
        "click>=8",
        "argcomplete>=2",
        "requests>=2.28",
    ],  # fmt: skip
    "stomp": ["stomp.py>=8.2,<10"],
    # moksha.hub imports pkg_resources, which setuptools 82 no longer has.
    "consumers": ["moksha.hub>=1.5.17", "setuptools<82", "psutil>=5.9", "requests>=2.28"],
    # What consumers missed while they were down.
    "datagrepper": ["requests>=2.28"],
    "bridge": ["pika>=1.3"],
    "irc": ["irc>=20", "requests>=2.28"],
    "sql": ["SQLAlchemy>=1.4.46"],
    "srv": ["dnspython>=2"],
    "web": ["starlette>=0.37", "uvicorn>=0.29", "websockets>=14"],
    "metrics": ["prometheus_client>=0.16"],
    "docs": ["Sphinx>=8"],
    "test": [
        "build>=1.2",
        "cryptography>=38",
        "hypothesis>=6.100",
        "packaging>=23",
        "psycopg2-binary>=2.9.10",
        "pytest>=8.2",
        "pytest-randomly>=3.15",
        "pytest-timeout>=2.3",
        "requests>=2.28",
        "setuptools>=77.0.3",
    ],
}
# The name that 1.1.7 gave to the backend which is now the only one.
EXTRAS["crypto_ng"] = EXTRAS["crypto"]
# Everything but moksha.hub, and so without the ceiling that it puts on setuptools.
EXTRAS["all"] = sorted(
    {
        requirement
        for requirements in EXTRAS.values()
        for requirement in requirements
        if requirement not in ("moksha.hub>=1.5.17", "setuptools<82")
    }
)

setup(
    name="fedmsg",
    version=VERSION,
    description="Federated message bus: services publish what they do, others listen",
    long_description=Path(__file__).with_name("README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license_expression="LGPL-2.1-or-later",
    license_files=["LICENSE"],
    keywords="messaging zeromq publish subscribe bus",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Distributed Computing",
        "Topic :: System :: Networking",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    # The wheels of pyzmq 26 are the first with libzmq 4.3.5: earlier ones count the traffic of a
    # steerable proxy in another unit.  `tox -e floor` runs the suite on exactly these.
    install_requires=["pyzmq>=26", "six>=1.16"],
    extras_require=EXTRAS,
    packages=find_packages(include=["fedmsg", "fedmsg.*"]),
    py_modules=["pytest_fedmsg"],
    # Makes an editable install a plain path entry, without an import hook at every start.
    package_dir={"": "."},
    package_data={"fedmsg": ["py.typed", "web/static/*"]},
    include_package_data=False,
    zip_safe=False,
    scripts=["scripts/fedmsg-config"],
    entry_points={
        "console_scripts": [
            "fedmsg-bridge = fedmsg.commands.bridge:bridge",
            "fedmsg-collectd = fedmsg.commands.collectd:collectd",
            "fedmsg-dg-replay = fedmsg.commands.replay:replay",
            "fedmsg-doctor = fedmsg.commands.doctor:doctor",
            "fedmsg-check = fedmsg.commands.check_script:main",
            "fedmsg-gateway = fedmsg.commands.gateway:gateway",
            "fedmsg-irc = fedmsg.commands.ircbot:ircbot",
            "fedmsg-hub = fedmsg.commands.hub:hub",
            "fedmsg-keys = fedmsg.commands.keys:keys",
            "fedmsg-announce = fedmsg.commands.announce:announce",
            "fedmsg-logger = fedmsg.commands.logger:logger",
            "fedmsg-relay = fedmsg.commands.relay:relay",
            "fedmsg-replay-server = fedmsg.commands.replay_server:replay_server",
            "fedmsg-signing-relay = fedmsg.commands.relay:signing_relay",
            "fedmsg-tail = fedmsg.commands.tail:tail",
            "fedmsg-trigger = fedmsg.commands.trigger:trigger",
            "fedmsg-web = fedmsg.commands.web:web",
            "fedmsg-verify = fedmsg.commands.verify:verify",
        ],
        "fedmsg.meta": [
            "announce = fedmsg.meta.announce:AnnounceProcessor",
            "logger = fedmsg.meta.logger:LoggerProcessor",
        ],
        "pytest11": ["fedmsg = pytest_fedmsg"],
        "moksha.consumer": [
            "fedmsg-dummy = fedmsg.consumers.dummy:DummyConsumer",
            "fedmsg-gateway = fedmsg.consumers.gateway:GatewayConsumer",
            "fedmsg-ircbot = fedmsg.consumers.ircbot:IRCBotConsumer",
            "fedmsg-relay = fedmsg.consumers.relay:RelayConsumer",
        ],
    },
)
