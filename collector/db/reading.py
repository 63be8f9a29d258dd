"""What reading from Python asks the database, as statements with libpq's numbered parameters.

Sums are cast to what a table of Arrow has: integers as int64 (NULL beyond its range), percentages as float64.
"""

LATEST = """
SELECT slot, market, sector, exchange, position, symbol, name, price, change, change_percent::float8, sign, volume,
       ask, bid, open, high, low, received_at
FROM public.latest
WHERE ($1::text IS NULL OR market = $1) AND ($2::text IS NULL OR sector = $2) AND ($3::text IS NULL OR exchange = $3)
ORDER BY market, sector, exchange, position
"""
TARGETS = """
SELECT id::integer AS id, market, sector, exchange
FROM collector.target
WHERE ($1::text IS NULL OR market = $1) AND ($2::text IS NULL OR sector = $2) AND ($3::text IS NULL OR exchange = $3)
ORDER BY exchange, market, sector
"""
LISTINGS = "SELECT id, symbol, name FROM collector.listing WHERE $1::text IS NULL OR symbol = $1"
NEWEST_DAY = """
SELECT (max(slot) AT TIME ZONE INTERVAL '9 hours')::date AS day
FROM (
    SELECT (
        SELECT w.slot FROM collector.walk AS w
        WHERE w.target = t.id AND w.status = 'complete'
        ORDER BY w.slot DESC
        LIMIT 1
    ) AS slot
    FROM collector.target AS t
    WHERE ($1::text IS NULL OR t.market = $1) AND ($2::text IS NULL OR t.sector = $2)
      AND ($3::text IS NULL OR t.exchange = $3)
) AS newest
"""
WALKS_WITH_PAGES = """
SELECT slot, target::integer AS target, status, rows, page_starts::integer[] AS page_starts, page_times
FROM collector.walk
WHERE slot >= $1 AND slot < $2 AND target = ANY (string_to_array($3, ',')::smallint[]) AND rows > 0
"""
ROWS = """
SELECT slot, target, volume, listing, price, change, rate, ask, bid, open, high, low, position
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND target = ANY (string_to_array($3, ',')::smallint[])
"""
ROWS_OF_LISTINGS = """
SELECT slot, target, volume, listing, price, change, rate, ask, bid, open, high, low, position
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND target = ANY (string_to_array($3, ',')::smallint[])
  AND listing = ANY (string_to_array($4, ',')::integer[])
"""
ARCHIVED = """
SELECT day, exchange, file, digest
FROM public.archive
WHERE day >= $1 AND day <= $2 AND restored_at IS NULL AND ($3::text IS NULL OR exchange = $3)
ORDER BY day, exchange
"""
BREADTH = """
SELECT slot, members, traded, advancers, decliners, unchanged, limit_up, limit_down, mean_percent::float8,
       weighted_percent::float8, volume::bigint,
       CASE WHEN turnover < 9e18 THEN turnover::bigint END AS turnover
FROM public.breadth($1, $2, $3, $4)
"""
SECTOR_DAYS = """
SELECT day, slot, market_name AS market, sector, sector_name, members, traded, advancers, decliners, unchanged,
       limit_up, limit_down, mean_percent::float8, weighted_percent::float8, volume::bigint,
       CASE WHEN turnover < 9e18 THEN turnover::bigint END AS turnover
FROM public.sector_days($1, $2, $3, $4)
"""
SECTOR_NAMES = "SELECT code AS sector, name_ko AS sector_name FROM public.sector"
AS_OF_SLOT = """
SELECT w.slot
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE t.market = $1 AND t.sector = $2 AND t.exchange = $3 AND w.status = 'complete' AND w.slot <= $4
ORDER BY w.slot DESC
LIMIT 1
"""
BARS = """
SELECT symbol, trading_date, open, high, low, close, volume, source
FROM public.bar
WHERE ($1::text IS NULL OR symbol = $1) AND trading_date >= $2 AND trading_date <= $3
ORDER BY symbol, trading_date
"""
BARS_ADJUSTED = """
SELECT symbol, trading_date, open, high, low, close, volume, source, adjusted_as_of
FROM public.bar_adjusted
WHERE ($1::text IS NULL OR symbol = $1) AND trading_date >= $2 AND trading_date <= $3
ORDER BY symbol, trading_date
"""
MEMBERS = """
SELECT market, sector, sector_name, exchange, symbol, name, valid_from, valid_to
FROM public.membership_named
WHERE market = $1 AND sector = $2 AND exchange = $3 AND valid_from <= $4 AND COALESCE(valid_to > $4, true)
ORDER BY symbol
"""
WALKS = """
SELECT *
FROM public.walk
WHERE slot >= $1 AND slot < $2 AND ($3::text IS NULL OR market = $3) AND ($4::text IS NULL OR sector = $4)
  AND ($5::text IS NULL OR exchange = $5) AND ($6::text IS NULL OR status = $6)
ORDER BY slot, market, sector, exchange
"""
RECONSTRUCTED = """
SELECT slot, market, sector, exchange, symbol, name, price, change, change_percent::float8, sign, volume, open, high,
       low, source
FROM public.reconstructed
WHERE slot >= $1 AND slot < $2 AND ($3::text IS NULL OR market = $3) AND ($4::text IS NULL OR sector = $4)
  AND ($5::text IS NULL OR exchange = $5) AND ($6::text IS NULL OR symbol = $6)
  AND NOT EXISTS (
      SELECT FROM public.walk AS w
      WHERE w.slot = reconstructed.slot AND w.market = reconstructed.market AND w.sector = reconstructed.sector
        AND w.exchange = reconstructed.exchange AND w.status IN ('complete', 'suspect')
  )
"""
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
SETTINGS = (
    "SET search_path = public",
    "SET timezone = 'UTC'",
    "SET jit = off",
    "SET datestyle = 'ISO, MDY'",
    "SET intervalstyle = 'postgres'",
    "SET default_transaction_read_only = on",
)
LISTING_DAY = """
SELECT slot, exchange, name, price, change, change_percent::float8, sign, volume, ask, bid, open, high, low,
       received_at
FROM public.listing_day($1, $2)
ORDER BY slot, exchange
"""
CHOSEN_WALKS = """
SELECT w.slot, t.market, t.sector
FROM collector.target AS t
LEFT JOIN collector.trading_day AS d ON d.trading_date = $1 AND t.exchange = 'KRX'
CROSS JOIN LATERAL (
    SELECT k.slot
    FROM collector.walk AS k
    WHERE k.target = t.id AND k.status = 'complete' AND k.slot >= $2 AND k.slot < $3
    ORDER BY COALESCE(k.slot >= d.closes AND k.slot < d.stands_until, false) DESC, k.slot DESC
    LIMIT 1
) AS w
WHERE ($4::text IS NULL OR t.market = $4) AND t.exchange = $5
"""
