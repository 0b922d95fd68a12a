package clients;

import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Properties;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;

/** What the driver gives each program in its environment, and how a program ends. */
final class Given {
  static final String HOST = "localhost";

  interface Work {
    void run() throws Exception;
  }

  private Given() {}

  static String value(String name) {
    String found = System.getenv("CLIENT_" + name);
    if (found == null) {
      throw new IllegalStateException("CLIENT_" + name + " is not set");
    }
    return found;
  }

  static byte[] file(String name) throws Exception {
    return Files.readAllBytes(Path.of(value(name)));
  }

  static void did(String format, Object... values) {
    System.out.printf(format + "%n", values);
  }

  /** Ends the program: with the client's own words, and their causes', when something failed. */
  static void run(Work work) {
    try {
      work.run();
    } catch (Exception problem) {
      for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
        did("error: %s", cause);
      }
      System.exit(1);
    }
    System.exit(0);
  }

  static void same(byte[] sent, byte[] got) throws Exception {
    if (!Arrays.equals(sent, got)) {
      throw new IllegalStateException(sent.length + " octets came back as " + got.length + " others");
    }
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(got);
    did("%d octets came back unchanged, SHA-256 %s", got.length, HexFormat.of().formatHex(hash));
  }

  /** What believes the given authority alone. */
  static TrustManager[] trust() throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream pem = new FileInputStream(value("CA"))) {
      store.setCertificateEntry(
          "test", CertificateFactory.getInstance("X.509").generateCertificate(pem));
    }
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  static SSLContext tls() throws Exception {
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust(), null);
    return context;
  }

  /** Angus Mail's settings of a protocol, by what CLIENT_TLS says. */
  static Properties mail(String protocol) throws Exception {
    Properties settings = new Properties();
    String prefix = "mail." + protocol + ".";
    settings.put(prefix + "ssl.socketFactory", tls().getSocketFactory());
    switch (value("TLS")) {
      case "offered" -> settings.put(prefix + "starttls.enable", "true");
      case "upgrade" -> {
        settings.put(prefix + "starttls.enable", "true");
        settings.put(prefix + "starttls.required", "true");
      }
      case "implicit" -> settings.put(prefix + "ssl.enable", "true");
      default -> settings.put(prefix + "starttls.enable", "false");
    }
    return settings;
  }
}
