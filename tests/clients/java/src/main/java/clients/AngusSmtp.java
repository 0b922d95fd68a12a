package clients;

import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.io.ByteArrayInputStream;
import java.util.Properties;

/** Sends a mail by Angus Mail, logged in. */
final class AngusSmtp {
  private AngusSmtp() {}

  public static void main(String[] arguments) {
    Given.run(AngusSmtp::work);
  }

  private static void work() throws Exception {
    Properties settings = Given.mail("smtp");
    settings.put("mail.smtp.auth", "true");
    settings.put("mail.smtp.from", Given.value("FROM"));
    Session session = Session.getInstance(settings);
    byte[] mail = Given.file("MAIL");
    MimeMessage message = new MimeMessage(session, new ByteArrayInputStream(mail));
    try (Transport transport = session.getTransport("smtp")) {
      transport.connect(
          Given.HOST,
          Integer.parseInt(Given.value("PORT")),
          Given.value("USER"),
          Given.value("PASSWORD"));
      transport.sendMessage(message, InternetAddress.parse(Given.value("TO")));
    }
    Given.did("sent a mail of %d octets", mail.length);
  }
}
