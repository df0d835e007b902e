"""PostgreSQL servers on hosts, with TLS, as a primary and its standby."""

import os
import pathlib
import shutil
import subprocess

PORT = 5432
DATABASE = "vouchsafe"
USER = "nobody"
# Small timeouts, so that a standby that was cut off comes back in time.
SETTINGS = """
listen_addresses = '*'
port = {port}
unix_socket_directories = '{folder}'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
max_connections = 100
wal_level = replica
hot_standby = on
wal_sender_timeout = 2s
wal_receiver_timeout = 2s
wal_retrieve_retry_interval = 200ms
tcp_user_timeout = 2000
synchronous_standby_names = '{synchronous}'
"""
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 trust\nhostssl all all 0.0.0.0/0 trust\nhostssl replication all 0.0.0.0/0 trust\n"


def programs():
    """The folder of the newest installed version, or nothing."""
    found = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parent if newest else None


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """A certificate authority, which brokers trust for the database."""

    def __init__(self, folder):
        self.key, self.certificate = folder / "ca.key", folder / "ca.crt"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.curve = curve
        openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=database", "-keyout", str(self.key), "-out", str(self.certificate))

    def issue(self, folder, address):
        request, extensions = folder / "request", folder / "extensions"
        extensions.write_text(f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n")
        openssl("req", "-new", *self.curve, "-subj", f"/CN={address}", "-keyout", str(folder / "server.key"), "-out", str(request))
        ca = ["-CA", str(self.certificate), "-CAkey", str(self.key), "-CAcreateserial", "-days", "2"]
        openssl("x509", "-req", "-in", str(request), *ca, "-extfile", str(extensions), "-out", str(folder / "server.pem"))


class Server:
    """A server on `host`, in a folder of its own below `folder`. `synchronous`: names of standbys that confirm commits."""

    def __init__(self, host, folder, authority, synchronous=""):
        self.host, self.synchronous = host, synchronous
        self.folder = folder / host.name
        self.folder.mkdir(mode=0o755)
        authority.issue(self.folder, host.address)
        self.data = self.folder / "data"
        subprocess.run(["chown", "-R", USER, str(self.folder)], check=True)

    def run(self, program, *arguments, timeout=60, check=True):
        user = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"]
        command = self.host.command(*user, programs() / program, *arguments)
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout, env={**os.environ, "HOME": str(self.folder)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{program}: {done.stdout}"
        return done.stdout

    def control(self, *arguments, **options):
        # The log is a file, so that no pipe stays open.
        return self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", *arguments, **options)

    def configure(self):
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(SETTINGS.format(port=PORT, folder=self.folder, synchronous=self.synchronous))
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def create(self):
        """Makes a new database and starts the server."""
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.configure()
        # Nothing confirms commits yet.
        self.control("-w", "-o", "-c synchronous_standby_names=", "start")
        self.run("createdb", "-h", self.folder, "-U", "postgres", DATABASE)

    def follow(self, primary):
        """Becomes a new standby of `primary`, whatever it was before."""
        shutil.rmtree(self.data, ignore_errors=True)
        address = f"host={primary.host.address} port={PORT} user=postgres sslmode=require application_name={self.host.name}"
        self.run("pg_basebackup", "-D", self.data, "-d", address, "-X", "stream", "-c", "fast", "-R", "--no-sync")
        self.configure()
        self.control("-w", "start")

    def dump(self):
        """Writes what the database has to a file."""
        file = self.folder / "dump.sql"
        self.run("pg_dump", "-h", self.folder, "-U", "postgres", "-d", DATABASE, "-f", file)
        return file

    def load(self, dump):
        """Ends, and becomes a new server with what the file has."""
        self.kill()
        shutil.rmtree(self.data)
        self.create()
        quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1"]
        self.run("psql", *quiet, "-h", self.folder, "-U", "postgres", "-d", DATABASE, "-f", dump)

    def restart(self):
        """Ends as a crash does, and starts again with its settings."""
        self.kill()
        self.control("-w", "start")

    def kill(self):
        self.control("-m", "immediate", "stop")

    def promote(self):
        self.control("-w", "promote")

    def sql(self, statements, timeout=30):
        """Runs statements at the server itself and returns what they print, without waiting for standbys."""
        local = "SET synchronous_commit = local;"
        arguments = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", DATABASE]
        return self.run("psql", *arguments, "-c", local + statements, timeout=timeout).strip()

    def address(self, *others):
        """The address for brokers, which lists all servers."""
        hosts = ",".join(server.host.address for server in (self, *others))
        return f"host={hosts} port={PORT} user=postgres dbname={DATABASE} sslmode=require"
