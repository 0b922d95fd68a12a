package clients;

import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import org.apache.commons.net.ftp.FTP;
import org.apache.commons.net.ftp.FTPClient;
import org.apache.commons.net.ftp.FTPFile;
import org.apache.commons.net.ftp.FTPSClient;

/**
 * Sends a folder of files to an FTP server and fetches it again by commons-net. With CLIENT_NOOPS
 * above 0 it keeps the control connection alive meanwhile: each transfer takes as long as it needs
 * to send so many NOOPs.
 */
final class CommonsNet {
  // The library blocks for the second of them where the server answers only after the transfer.
  private static final Duration KEEP_ALIVE = Duration.ofMillis(200);
  private static final Duration REPLY = Duration.ofMillis(100);
  private static final int PAUSE_MILLISECONDS = 20;

  private final int wanted = Integer.parseInt(Given.value("NOOPS"));
  private final Client client;

  /** Counts the NOOPs that the library sends by itself. */
  private static final class Client extends FTPSClient {
    int noops;
    int allNoops;

    Client(boolean implicit, SSLContext context) {
      super(implicit, context);
    }

    @Override
    protected void __noop() throws IOException {
      noops++;
      allNoops++;
      super.__noop();
    }
  }

  public static void main(String[] arguments) {
    Given.run(Given.value("TLS").equals("none") ? CommonsNet::inPlaintext : () -> new CommonsNet().work());
  }

  /** The client without TLS only tries to log in. */
  private static void inPlaintext() throws Exception {
    FTPClient client = new FTPClient();
    client.connect(Given.HOST, Integer.parseInt(Given.value("PORT")));
    if (!client.login(Given.value("USER"), Given.value("PASSWORD"))) {
      throw new IOException("login: " + client.getReplyString());
    }
  }

  private CommonsNet() throws Exception {
    client = new Client(Given.value("TLS").equals("implicit"), Given.tls());
    client.setEndpointCheckingEnabled(true);
    client.setControlEncoding(StandardCharsets.UTF_8);
    if (wanted > 0) {
      client.setControlKeepAliveTimeout(KEEP_ALIVE);
      client.setControlKeepAliveReplyTimeout(REPLY);
    }
  }

  private void work() throws Exception {
    client.connect(Given.HOST, Integer.parseInt(Given.value("PORT")));
    good(client.login(Given.value("USER"), Given.value("PASSWORD")), "login");
    client.execPBSZ(0);
    client.execPROT("P");
    good(client.setFileType(FTP.BINARY_FILE_TYPE), "type");
    client.enterLocalPassiveMode();
    String home = client.printWorkingDirectory();
    upload(Path.of(Given.value("FOLDER")), Given.value("NAME"));
    good(client.changeWorkingDirectory(home), "back home");
    download(Given.value("NAME"), Path.of(Given.value("OUT")), 0);
    good(client.changeWorkingDirectory(home), "back home again");
    good(client.rename(Given.value("NAME"), Given.value("NAME") + " renamed"), "rename");
    client.logout();
    client.disconnect();
    Given.did("files went up and came down, with %d NOOPs meanwhile", client.allNoops);
  }

  private void good(boolean result, String what) throws IOException {
    if (!result) {
      throw new IOException(what + ": " + client.getReplyString());
    }
  }

  /** Makes the folder `name` in the current one, enters it and leaves it there. */
  private void upload(Path folder, String name) throws IOException {
    good(client.makeDirectory(name), "make a folder");
    good(client.changeWorkingDirectory(name), "enter it");
    List<Path> paths;
    try (Stream<Path> found = Files.list(folder)) {
      paths = found.toList();
    }
    for (Path path : paths) {
      String below = path.getFileName().toString();
      if (Files.isDirectory(path)) {
        upload(path, below);
        good(client.changeToParentDirectory(), "leave it");
      } else {
        client.noops = 0;
        try (InputStream content = new SlowSource(Files.newInputStream(path))) {
          good(client.storeFile(below, content), "store");
        }
        enoughNoops();
      }
    }
  }

  /** Fetches the folder `name` of the current one, enters it and stays there. */
  private void download(String name, Path out, int depth) throws IOException {
    good(client.changeWorkingDirectory(name), "enter a folder");
    Files.createDirectories(out);
    for (FTPFile file : client.listFiles()) {
      Path below = out.resolve(file.getName());
      if (file.isDirectory()) {
        download(file.getName(), below, depth + 1);
        good(client.changeToParentDirectory(), "leave a folder");
      } else {
        client.noops = 0;
        try (OutputStream content = new SlowSink(Files.newOutputStream(below))) {
          good(client.retrieveFile(file.getName(), content), "retrieve");
        }
        enoughNoops();
      }
    }
    int octets = client.printWorkingDirectory().getBytes(StandardCharsets.UTF_8).length;
    Given.did("folder %d has a path of %d octets", depth, octets);
  }

  private void enoughNoops() {
    if (client.noops < wanted) {
      throw new IllegalStateException("only " + client.noops + " NOOPs amid a transfer");
    }
  }

  /** Gives the library time to send the next NOOP. */
  private void pause() throws IOException {
    if (client.noops < wanted) {
      try {
        Thread.sleep(PAUSE_MILLISECONDS);
      } catch (InterruptedException interruption) {
        throw new IOException(interruption);
      }
    }
  }

  private final class SlowSource extends FilterInputStream {
    SlowSource(InputStream content) {
      super(content);
    }

    @Override
    public int read(byte[] octets, int offset, int length) throws IOException {
      pause();
      return super.read(octets, offset, length);
    }
  }

  private final class SlowSink extends FilterOutputStream {
    SlowSink(OutputStream content) {
      super(content);
    }

    @Override
    public void write(byte[] octets, int offset, int length) throws IOException {
      pause();
      out.write(octets, offset, length);
    }
  }
}
