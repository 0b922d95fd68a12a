package clients;

import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;

/** Asks, copies and cancels by pgjdbc. */
final class PostgreSql {
  private static final String CANCELED = "57014";
  private static final int ROWS = 10000;

  private PostgreSql() {}

  public static void main(String[] arguments) {
    Given.run(PostgreSql::work);
  }

  private static void work() throws Exception {
    try (Connection connection = connect("pgjdbc works")) {
      byte[] sent = Given.file("MAIL");
      try (PreparedStatement statement = connection.prepareStatement("select ?::bytea")) {
        statement.setBytes(1, sent);
        ResultSet rows = statement.executeQuery();
        rows.next();
        Given.same(sent, rows.getBytes(1));
      }
      copy(connection);
      cancel(connection);
    }
  }

  private static Connection connect(String name) throws SQLException {
    Properties settings = new Properties();
    settings.put("user", Given.value("USER"));
    settings.put("password", Given.value("PASSWORD"));
    settings.put("ApplicationName", name);
    String how = Given.value("TLS");
    settings.put(
        "sslmode",
        switch (how) {
          case "required" -> "require";
          case "none" -> "disable";
          default -> "verify-full";
        });
    if (how.equals("direct")) {
      settings.put("sslNegotiation", "direct");
    }
    settings.put("sslrootcert", Given.value("CA"));
    return DriverManager.getConnection(
        "jdbc:postgresql://" + Given.HOST + ":" + Given.value("PORT") + "/" + Given.value("USER"),
        settings);
  }

  private static void copy(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.execute("create temporary table copied (number int, words text)");
      String rows =
          IntStream.range(0, ROWS)
              .mapToObj(row -> row + "\trow " + row + "\n")
              .collect(Collectors.joining());
      long copied =
          connection
              .unwrap(PGConnection.class)
              .getCopyAPI()
              .copyIn("copy copied from stdin", new StringReader(rows));
      // By a cursor, which asks for a hundred rows at a time.
      connection.setAutoCommit(false);
      statement.setFetchSize(100);
      long sum = 0;
      try (ResultSet found = statement.executeQuery("select number from copied")) {
        while (found.next()) {
          sum += found.getLong(1);
        }
      }
      connection.commit();
      connection.setAutoCommit(true);
      Given.did("copied %d rows whose numbers are %d in all", copied, sum);
    }
  }

  private static void cancel(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      CompletableFuture<SQLException> failed =
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  statement.execute("select pg_sleep(60)");
                  return null;
                } catch (SQLException refusal) {
                  return refusal;
                }
              });
      waitForSleeper("pgjdbc works");
      statement.cancel();
      SQLException refusal = failed.get();
      if (refusal == null || !CANCELED.equals(refusal.getSQLState())) {
        throw new IllegalStateException("the query was not canceled", refusal);
      }
      Given.did("canceled: %s", refusal.getMessage());
      ResultSet rows = statement.executeQuery("select 6 * 7");
      rows.next();
      Given.did("the connection lives on: %d", rows.getInt(1));
    }
  }

  /** Waits until a connection of that name sleeps on the server. */
  private static void waitForSleeper(String name) throws Exception {
    try (Connection connection = connect("pgjdbc looks");
        PreparedStatement statement =
            connection.prepareStatement(
                "select 1 from pg_stat_activity"
                    + " where application_name = ? and wait_event = 'PgSleep'")) {
      statement.setString(1, name);
      while (!statement.executeQuery().next()) {
        Thread.sleep(20);
      }
    }
  }
}
