"""Scoring and sampling of tables that are larger than one machine, on Dask, Ray and Spark.

    from rnvp_runtime.distributed import dask, ray, spark

    scored = dask.score(frame, "model.rnvp")           # a column log_prob; nothing runs yet
    drawn = ray.sample(10**9, "model.rnvp", seed=7)    # the rows of rnvp-sample --seed 7

Each module belongs to an extra of the same name, and has `score` and `sample`, which take and
return what the engine calls a table. The bundle is opened once in each worker process.
"""
