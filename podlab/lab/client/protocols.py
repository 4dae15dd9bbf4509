"""How to talk to each kind of service: one small session class per protocol.

Client libraries are Debian's and are imported when their protocol is used.
"""

from __future__ import annotations

import base64
import importlib
import json
import random
import threading
from typing import Any

from .fastcgi import FastCgi
from .ftp import Ftp
from .line_protocols import Beanstalk, Nats
from .lookups import Dns, Ldap, ZooKeeper
from .mail import Smtp
from .session import TIMEOUT_S, Session
from .sink import Silent, Sink
from .stomp import Stomp
from .stores import Alertmanager, Registry, VictoriaMetrics
from .web import Http, WebApp


class Etcd(Http):
    """The key-value store's JSON gateway."""

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        key = base64.b64encode(self.key(draw).encode()).decode()
        if self.reads(draw):
            self.call("POST", "/v3/kv/range", json.dumps({"key": key}).encode())
        else:
            value = base64.b64encode(self.payload).decode()
            self.call("POST", "/v3/kv/put", json.dumps({"key": key, "value": value}).encode())


class InfluxDb(Http):
    """Line protocol in, InfluxQL out."""

    def prepare(self) -> None:
        """Make the data."""
        self.call("POST", "/query?q=CREATE+DATABASE+lab")
        super().prepare()

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if self.reads(draw):
            self.call(
                "GET", "/query?db=lab&q=SELECT+mean(value)+FROM+load+WHERE+time+%3E+now()-30s+GROUP+BY+host+LIMIT+20"
            )
            return
        lines = max(1, len(self.payload) // 50)
        points = "\n".join(
            f"load,host={self.key(draw)} value={draw.random()},other={draw.random()}" for _ in range(lines)
        )
        self.call("POST", "/write?db=lab", points.encode())


class Sql(Session):
    """Databases: point reads, range sums, updates and inserts on one table."""

    module = ""
    table = ""

    def open(self) -> None:
        """Connect."""
        self.connection: Any = self.connect(importlib.import_module(self.module))
        self.cursor: Any = self.connection.cursor()

    def connect(self, library: Any) -> Any:
        """Connect by the given client library, each statement committed at once."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the data."""
        self.cursor.execute(self.table)
        for begin in range(0, int(self.spec["keys"]), 500):
            rows = range(begin, min(begin + 500, int(self.spec["keys"])))
            values = ",".join(f"({row % 100},'{self.payload.decode()[:200]}')" for row in rows)
            self.cursor.execute(f"INSERT INTO load_items (number, content) VALUES {values}")  # noqa: S608 - own letters

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        first = draw.randrange(int(self.spec["keys"])) + 1
        if not self.reads(draw):
            if draw.random() < 0.5:
                statement, values = "UPDATE load_items SET number = number + 1 WHERE id = %s", (first,)
            else:
                statement = "INSERT INTO load_items (number, content) VALUES (%s, %s)"
                values = (first % 100, self.payload.decode())  # type: ignore[assignment]
        elif draw.random() < 0.3:
            statement, values = "SELECT sum(number) FROM load_items WHERE id > %s", (first,)
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
    table = "CREATE TABLE IF NOT EXISTS load_items (id INT AUTO_INCREMENT PRIMARY KEY, number INT, content TEXT)"

    def connect(self, library: Any) -> Any:
        """Connect."""
        connection = library.connect(host=self.host, port=self.port, user="root", autocommit=True)
        connection.cursor().execute("CREATE DATABASE IF NOT EXISTS lab")
        connection.select_db("lab")
        return connection


class Postgres(Sql):
    """PostgreSQL."""

    module = "pg8000"
    table = "CREATE TABLE IF NOT EXISTS load_items (id SERIAL PRIMARY KEY, number INT, content TEXT)"

    def connect(self, library: Any) -> Any:
        """Connect."""
        connection = library.connect(host=self.host, port=self.port, user="postgres", database="postgres")
        connection.autocommit = True
        return connection


class Redis(Session):
    """Redis: small pipelines of reads and writes."""

    def open(self) -> None:
        """Connect."""
        self.client: Any = importlib.import_module("redis").Redis(self.host, self.port, socket_timeout=TIMEOUT_S)

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
            (self.host, self.port), timeout=TIMEOUT_S, connect_timeout=TIMEOUT_S
        )

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
        self.connection: Any = library.BlockingConnection(parameters)
        self.channel: Any = self.connection.channel()
        self.channel.queue_declare("load")

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
    "sink": Sink,
    "none": Silent,
}


def open_session(spec: dict[str, Any]) -> Session:
    """Connect to the service by its protocol."""
    return PROTOCOLS[spec["protocol"]](spec)
