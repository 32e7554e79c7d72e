"""Tables of an S3 service: pyarrow's filesystem reads from a local test server."""

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from rnvp_runtime import TableError
from rnvp_runtime.tables import open_table

pytest.importorskip("moto.server")
NUMBERS = np.random.default_rng(3).standard_normal((500, 2))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The query of a URI for the server, with a bucket of tables."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        running.start()
        host, port = running.get_host_and_port()
        query = f"scheme=http&endpoint_override={host}:{port}&allow_bucket_creation=true"
        bucket, _ = fs.FileSystem.from_uri(f"s3://events?{query}")
        bucket.create_dir("events")
        for name, content in files().items():
            with bucket.open_output_stream(f"events/{name}") as file:
                file.write(content)
        yield query
        running.stop()


def files() -> dict[str, bytes]:
    """A table in two formats, and a folder with the table in two parts."""

    def parquet(rows: slice) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": NUMBERS[rows, 0], "b": NUMBERS[rows, 1]}), buffer)
        return buffer.getvalue()

    text = "a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in NUMBERS.tolist())
    return {
        "t.parquet": parquet(slice(None)),
        "t.csv": text.encode(),
        "2026/0.parquet": parquet(slice(0, 200)),
        "2026/1.parquet": parquet(slice(200, None)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "2026"])
def test_a_table_of_a_bucket_is_read(server: str, name: str) -> None:
    """A URI may name a Parquet file, a CSV file or a folder."""
    batches = open_table(f"s3://events/{name}?{server}")
    found = np.concatenate([batch.numeric(["a", "b"]) for batch in batches])
    np.testing.assert_array_equal(found, NUMBERS)


@pytest.mark.slow
def test_a_key_that_is_not_in_the_bucket_is_named(server: str) -> None:
    """The error names the URI."""
    with pytest.raises(TableError, match=r"s3://events/absent\.csv.* does not exist"):
        open_table(f"s3://events/absent.csv?{server}")
