"""How to talk to each kind of service: one small session class per protocol.

Client libraries are Debian's and are imported when their protocol is used.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from .fastcgi import FastCgi
from .ftp import Ftp
from .line_protocols import Beanstalk, Nats
from .lookups import Dns, Ldap, ZooKeeper
from .mail import Smtp
from .session import TIMEOUT_S, Session
from .sink import Silent, SinkSession
from .stomp import Stomp
from .stores import Alertmanager, Registry, VictoriaMetrics
from .web import Http, WebApp

#: Pieces of data that are sent before an answer is waited for.
_PIECES_AT_ONCE = 50


class Etcd(Http):
    """The key-value store's JSON gateway; it keeps every version of a value until it is told to forget them."""

    most_bytes = 4096
    _AT_ONCE = 100

    def open(self) -> None:
        """Connect, and find out by which name the server's version knows the gateway."""
        super().open()
        version = json.loads(self.call("GET", "/version"))["etcdserver"]
        self.gateway = "/v3beta/" if version.startswith("3.3.") else "/v3/"

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Send one request; the gateway's name is replaced by the server's."""
        return super().call(method, path.replace("/v3/", self.gateway) if body else path, body, headers)

    def prepare(self) -> None:
        """Make the data."""
        pieces = list(self.pieces(4096))
        if pieces:
            last = json.dumps({"key": _base64(f"data-{len(pieces) - 1}"), "keys_only": True}).encode()
            if b'"kvs"' not in self.call("POST", "/v3/kv/range", last):
                for begin in range(0, len(pieces), self._AT_ONCE):
                    puts = [
                        {"requestPut": {"key": _base64(f"data-{number}"), "value": base64.b64encode(piece).decode()}}
                        for number, piece in enumerate(pieces[begin : begin + self._AT_ONCE], begin)
                    ]
                    self.call("POST", "/v3/kv/txn", json.dumps({"success": puts}).encode())
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        key = _base64(self.key(draw))
        if self.reads(draw):
            self.call("POST", "/v3/kv/range", json.dumps({"key": key}).encode())
        else:
            value = base64.b64encode(self.payload).decode()
            self.call("POST", "/v3/kv/put", json.dumps({"key": key, "value": value}).encode())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class InfluxDb(Http):
    """Line protocol in, InfluxQL out; each key is a series, of which the server keeps an index in its memory."""

    most_bytes = 16384
    _MOST_SERIES = 5000
    _LINES_AT_ONCE = 20000
    _LINE_BYTES = 45

    def prepare(self) -> None:
        """Make the data: points of the last hours, of as many series as there are keys."""
        self.call("POST", "/query?q=CREATE+DATABASE+lab")
        wanted = round(float(self.spec.get("data_mb", 0)) * 1e6 / self._LINE_BYTES / self._LINES_AT_ONCE)
        found = self.call("GET", "/query?db=lab&q=SELECT+count(value)+FROM+old")
        there = int(json.loads(found)["results"][0].get("series", [{"values": [[0, 0]]}])[0]["values"][0][1])
        series = min(int(self.spec["keys"]), self._MOST_SERIES)
        for number in range(there // self._LINES_AT_ONCE, wanted):
            newest_us = (int(time.time()) - 3600 - 60 * number) * 1_000_000
            points = "\n".join(
                f"old,host=key-{row % series} value={row * 7919 % 1000 / 10} {newest_us - 100 * row}"
                for row in range(self._LINES_AT_ONCE)
            )
            self.call("POST", "/write?db=lab&precision=u", points.encode())
        super().prepare()

    def key(self, draw: random.Random) -> str:
        """One of the drawn number of series, or of the bound."""
        return f"key-{draw.randrange(min(int(self.spec['keys']), self._MOST_SERIES))}"

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if self.reads(draw):
            self.call(
                "GET", "/query?db=lab&q=SELECT+mean(value)+FROM+load+WHERE+time+%3E+now()-30s+GROUP+BY+host+SLIMIT+20"
            )
            return
        lines = max(1, len(self.payload) // 50)
        points = "\n".join(
            f"load,host={self.key(draw)} value={draw.random()},other={draw.random()}" for _ in range(lines)
        )
        self.call("POST", "/write?db=lab", points.encode())


class Sql(Session):
    """Databases: point reads, range sums, updates and inserts on one table, and reads of one that is full of data."""

    most_bytes = 16384
    module = ""
    table = ""
    _BYTES_AT_ONCE = 1_000_000

    def open(self) -> None:
        """Connect."""
        self.connection: Any = self.connect(importlib.import_module(self.module))
        self.cursor: Any = self.connection.cursor()

    def connect(self, library: Any) -> Any:
        """Connect by the given client library, each statement committed at once."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the data."""
        for name in ("load_items", "load_data"):
            self.cursor.execute(self.table.format(name))
        keys = int(self.spec["keys"])
        for begin in range(self.count("load_items"), keys, 500):
            rows = range(begin, min(begin + 500, keys))
            self.insert("load_items", [(row % 100, self.payload.decode()[:200]) for row in rows])
        pieces = list(self.pieces())
        at_once = max(1, self._BYTES_AT_ONCE // len(pieces[0])) if pieces else 1
        for begin in range(self.count("load_data"), len(pieces), at_once):
            texts = [piece.decode() for piece in pieces[begin : begin + at_once]]
            self.insert("load_data", list(enumerate(texts, begin)))
        super().prepare()

    def insert(self, table: str, rows: list[tuple[int, str]]) -> None:
        """Insert many rows by one statement."""
        values = ",".join(f"({number},'{content}')" for number, content in rows)
        self.cursor.execute(f"INSERT INTO {table} (number, content) VALUES {values}")  # noqa: S608 - own letters

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        self.cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - own names
        return int(self.cursor.fetchall()[0][0])

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        first = draw.randrange(int(self.spec["keys"])) + 1
        old = draw.randrange(round(float(self.spec.get("data_mb", 0)) * 10) + 1) + 1
        if not self.reads(draw):
            if draw.random() < 0.5:
                statement, values = "UPDATE load_items SET number = number + 1 WHERE id = %s", (first,)
            else:
                statement = "INSERT INTO load_items (number, content) VALUES (%s, %s)"
                values = (first % 100, self.payload.decode())  # type: ignore[assignment]
        elif draw.random() < 0.3:
            statement, values = "SELECT sum(number) FROM load_items WHERE id > %s", (first,)
        elif draw.random() < 0.5:
            statement, values = "SELECT content FROM load_data WHERE id = %s", (old,)
        else:
            statement, values = "SELECT content FROM load_items WHERE id = %s", (first,)
        self.cursor.execute(statement, values)
        if statement.startswith("SELECT"):
            self.cursor.fetchall()

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


class MySql(Sql):
    """MariaDB and MySQL."""

    module = "pymysql"
    table = "CREATE TABLE IF NOT EXISTS {} (id INT AUTO_INCREMENT PRIMARY KEY, number INT, content TEXT)"

    def connect(self, library: Any) -> Any:
        """Connect."""
        connection = library.connect(host=self.host, port=self.port, user="root", autocommit=True)
        connection.cursor().execute("CREATE DATABASE IF NOT EXISTS lab")
        connection.select_db("lab")
        return connection


class Postgres(Sql):
    """PostgreSQL."""

    module = "pg8000"
    table = "CREATE TABLE IF NOT EXISTS {} (id SERIAL PRIMARY KEY, number INT, content TEXT)"

    def connect(self, library: Any) -> Any:
        """Connect."""
        connection = library.connect(host=self.host, port=self.port, user="postgres", database="postgres")
        connection.autocommit = True
        return connection

    def insert(self, table: str, rows: list[tuple[int, str]]) -> None:
        """Insert many rows by a copy, since the library reads statements letter by letter."""
        lines = "".join(f"{number}\t{content}\n" for number, content in rows)
        self.cursor.execute(f"COPY {table} (number, content) FROM STDIN", stream=io.BytesIO(lines.encode()))


class Redis(Session):
    """Redis: small pipelines of reads and writes."""

    def open(self) -> None:
        """Connect."""
        self.client: Any = importlib.import_module("redis").Redis(self.host, self.port, socket_timeout=TIMEOUT_S)

    def prepare(self) -> None:
        """Make the data, a few pieces at once."""
        pieces = list(self.pieces())
        if pieces and not self.client.exists(f"data-{len(pieces) - 1}"):
            for begin in range(0, len(pieces), _PIECES_AT_ONCE):
                pipeline = self.client.pipeline(transaction=False)
                for number, piece in enumerate(pieces[begin : begin + _PIECES_AT_ONCE], begin):
                    pipeline.set(f"data-{number}", piece)
                pipeline.execute()
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        pipeline = self.client.pipeline(transaction=False)
        for _ in range(10):
            if self.reads(draw):
                pipeline.get(self.key(draw))
            else:
                pipeline.set(self.key(draw), self.payload)
        pipeline.execute()


class Memcached(Session):
    """Memcached: many keys read at once, single writes."""

    def open(self) -> None:
        """Connect."""
        self.client: Any = importlib.import_module("pymemcache.client.base").Client(
            (self.host, self.port), timeout=TIMEOUT_S, connect_timeout=TIMEOUT_S, no_delay=True
        )

    def prepare(self) -> None:
        """Make the data, without waiting for each answer."""
        for number, piece in enumerate(self.pieces()):
            self.client.set(f"data-{number}", piece, noreply=True)
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if self.reads(draw):
            self.client.get_many([self.key(draw) for _ in range(10)])
        else:
            self.client.set(self.key(draw), self.payload)


class Amqp(Session):
    """RabbitMQ: publish to a queue, take from it again."""

    def open(self) -> None:
        """Connect."""
        library: Any = importlib.import_module("pika")
        parameters = library.ConnectionParameters(
            self.host, self.port, heartbeat=0, blocked_connection_timeout=TIMEOUT_S
        )
        self.persistent: Any = library.BasicProperties(delivery_mode=2)
        self.connection: Any = library.BlockingConnection(parameters)
        self.channel: Any = self.connection.channel()
        # Newer servers refuse a queue that outlives its connection but not the server.
        self.channel.queue_declare("load", durable=True)

    def prepare(self) -> None:
        """Fill a queue that nobody reads and that the server keeps on its disk."""
        stored = self.channel.queue_declare("stored", durable=True)
        for number, piece in enumerate(self.pieces()):
            if number >= stored.method.message_count:
                self.channel.basic_publish("", "stored", piece, self.persistent)
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        for _ in range(3):
            self.channel.basic_publish("", "load", self.payload)
        for _ in range(3):
            self.channel.basic_get("load", auto_ack=True)

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


class Mqtt(Session):
    """Mosquitto: publish and hear it again by a subscription of one's own."""

    def open(self) -> None:
        """Connect."""
        library: Any = importlib.import_module("paho.mqtt.client")
        self.heard = threading.Event()
        self.client: Any = library.Client()
        self.client.on_message = lambda *_: self.heard.set()
        self.client.connect(self.host, self.port)
        self.topic = f"load/{id(self)}"
        self.client.subscribe(self.topic)
        self.client.loop_start()

    def prepare(self) -> None:
        """Make the data: messages that the broker keeps for whoever comes."""
        for number, piece in enumerate(self.pieces()):
            sent = self.client.publish(f"data/{number}", piece, retain=True)
            if number % _PIECES_AT_ONCE == 0:
                sent.wait_for_publish(TIMEOUT_S)
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        self.heard.clear()
        self.client.publish(self.topic, self.payload, retain=draw.random() < 0.1)
        if not self.heard.wait(TIMEOUT_S):
            raise OSError("the broker did not send the message back")

    def close(self) -> None:
        """Disconnect."""
        self.client.loop_stop()
        self.client.disconnect()


#: Protocol names that the catalogue may use.
PROTOCOLS: dict[str, type[Session]] = {
    "http": Http,
    "web-app": WebApp,
    "fastcgi": FastCgi,
    "victoriametrics": VictoriaMetrics,
    "registry": Registry,
    "alertmanager": Alertmanager,
    "etcd": Etcd,
    "influxdb": InfluxDb,
    "mysql": MySql,
    "postgres": Postgres,
    "redis": Redis,
    "memcached": Memcached,
    "amqp": Amqp,
    "mqtt": Mqtt,
    "smtp": Smtp,
    "stomp": Stomp,
    "nats": Nats,
    "beanstalk": Beanstalk,
    "dns": Dns,
    "ldap": Ldap,
    "zookeeper": ZooKeeper,
    "ftp": Ftp,
    "sink": SinkSession,
    "none": Silent,
}


def open_session(spec: dict[str, Any]) -> Session:
    """Connect to the service by its protocol."""
    return PROTOCOLS[spec["protocol"]](spec)
