"""Asks, copies and cancels by asyncpg."""

import asyncio

import asyncpg

import given

ROWS = 10000


def connect(name):
    how = given.value("TLS")
    more = {} if how == "none" else {"direct_tls": how == "direct"}
    if how == "required":
        secure = "require"
    else:
        secure = False if how == "none" else given.tls()
    if how == "direct":
        # PostgreSQL demands it, and asyncpg leaves it to the context.
        secure.set_alpn_protocols(["postgresql"])
    return asyncpg.connect(
        host=given.HOST, port=given.port(), user=given.value("USER"),
        password=given.value("PASSWORD"), database=given.value("USER"), ssl=secure,
        server_settings={"application_name": name}, **more)


async def wait_for_sleepers(name, wanted):
    """Until so many connections of that name sleep on the server."""
    client = await connect("asyncpg looks")
    query = ("select count(*) from pg_stat_activity where application_name = $1 "
             "and wait_event = 'PgSleep'")
    while await client.fetchval(query, name) != wanted:
        await asyncio.sleep(0.02)
    await client.close()


async def copy(client):
    await client.execute("create temporary table copied (number int, words text)")
    await client.copy_records_to_table(
        "copied", records=[(row, "row {}".format(row)) for row in range(ROWS)])
    total = 0
    async with client.transaction():
        async for row in client.cursor("select number from copied", prefetch=100):
            total += row["number"]
    print("copied {} rows whose numbers are {} in all".format(ROWS, total))


async def cancel(client):
    query = asyncio.create_task(client.execute("select pg_sleep(60)"))
    await wait_for_sleepers("asyncpg works", 1)
    query.cancel()
    try:
        await query
    except asyncio.CancelledError:
        pass
    await wait_for_sleepers("asyncpg works", 0)
    print("canceled")
    print("the connection lives on: {}".format(await client.fetchval("select 6 * 7")))


async def work():
    client = await connect("asyncpg works")
    sent = given.file("MAIL")
    given.same(sent, await client.fetchval("select $1::bytea", sent))
    await copy(client)
    await cancel(client)
    await client.close()


given.run(work)
