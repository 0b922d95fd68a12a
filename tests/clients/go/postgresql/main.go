// Asks, copies and cancels by pgx.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"starling.example/clients/given"
)

const canceled = "57014"

func main() {
	background, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	c := connect(background, "pgx works")
	sent := given.File("MAIL")
	var got []byte
	given.Check(c.QueryRow(background, "select $1::bytea", sent).Scan(&got))
	given.Same(sent, got)
	copyRows(background, c)
	cancelQuery(background, c)
	cancelByContext(background)
	given.Check(c.Close(background))
}

func connect(ctx context.Context, name string) *pgx.Conn {
	more := map[string]string{
		"upgrade":  "sslmode=verify-full",
		"required": "sslmode=require",
		"direct":   "sslmode=verify-full sslnegotiation=direct",
		"none":     "sslmode=disable",
	}[given.Value("TLS")]
	if given.Value("TLS") != "none" {
		more += " sslrootcert=" + given.Value("CA")
	}
	c, err := pgx.Connect(ctx, fmt.Sprintf(
		"host=%s port=%s user=%s password=%s dbname=%s application_name='%s' %s", given.Host,
		given.Value("PORT"), given.Value("USER"), given.Value("PASSWORD"), given.Value("USER"),
		name, more))
	given.Check(err)
	return c
}

func copyRows(ctx context.Context, c *pgx.Conn) {
	_, err := c.Exec(ctx, "create temporary table copied (number int, words text)")
	given.Check(err)
	const rows = 10000
	copied, err := c.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"number", "words"},
		pgx.CopyFromSlice(rows, func(row int) ([]any, error) {
			return []any{row, fmt.Sprintf("row %d", row)}, nil
		}))
	given.Check(err)
	var sum int64
	given.Check(c.QueryRow(ctx, "select sum(number) from copied").Scan(&sum))
	given.Did("copied %d rows whose numbers are %d in all", copied, sum)
}

// cancelQuery asks the server to end a query, which then says so on its own connection.
func cancelQuery(ctx context.Context, c *pgx.Conn) {
	failed := make(chan error)
	go func() {
		_, err := c.Exec(ctx, "select pg_sleep(60)")
		failed <- err
	}()
	waitForSleepers(ctx, "pgx works", 1)
	given.Check(c.PgConn().CancelRequest(ctx))
	var refusal *pgconn.PgError
	if err := <-failed; !errors.As(err, &refusal) || refusal.Code != canceled {
		given.Check(fmt.Errorf("the query was not canceled: %w", err))
	}
	given.Did("canceled: %s", refusal.Message)
	var answer int
	given.Check(c.QueryRow(ctx, "select 6 * 7").Scan(&answer))
	given.Did("the connection lives on: %d", answer)
}

// cancelByContext gives a query up, as programs usually do; pgx then tells the server.
func cancelByContext(ctx context.Context) {
	c := connect(ctx, "pgx gives up")
	short, giveUp := context.WithCancel(ctx)
	failed := make(chan error)
	go func() {
		_, err := c.Exec(short, "select pg_sleep(60)")
		failed <- err
	}()
	waitForSleepers(ctx, "pgx gives up", 1)
	giveUp()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		given.Check(fmt.Errorf("the query was not given up: %w", err))
	}
	waitForSleepers(ctx, "pgx gives up", 0)
	given.Did("gave a query up, and the server ended it")
}

// waitForSleepers waits until so many connections of that name sleep on the server.
func waitForSleepers(ctx context.Context, name string, wanted int) {
	c := connect(ctx, "pgx looks")
	defer func() { given.Check(c.Close(ctx)) }()
	for {
		var count int
		given.Check(c.QueryRow(ctx, "select count(*) from pg_stat_activity where "+
			"application_name = $1 and wait_event = 'PgSleep'", name).Scan(&count))
		if count == wanted {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func init() {
	// Settings of the machine are not the test's.
	for _, name := range []string{"PGHOST", "PGSERVICE", "PGPASSFILE", "PGSSLMODE"} {
		given.Check(os.Unsetenv(name))
	}
}
