package clients;

import jakarta.mail.Flags;
import jakarta.mail.Folder;
import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.Store;
import jakarta.mail.internet.MimeMessage;
import jakarta.mail.search.SubjectTerm;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;

/** Reads mail by Angus Mail: by IMAP what it has stored before, by POP3 what is there. */
final class AngusStore {
  private AngusStore() {}

  public static void main(String[] arguments) {
    Given.run(() -> work(arguments[0]));
  }

  private static void work(String protocol) throws Exception {
    Session session = Session.getInstance(Given.mail(protocol));
    byte[] mail = Given.file("MAIL");
    try (Store store = session.getStore(protocol)) {
      store.connect(
          Given.HOST,
          Integer.parseInt(Given.value("PORT")),
          Given.value("USER"),
          Given.value("PASSWORD"));
      if (protocol.equals("imap")) {
        Folder folder = store.getFolder(Given.value("MAILBOX"));
        folder.create(Folder.HOLDS_MESSAGES);
        MimeMessage message = new MimeMessage(session, new ByteArrayInputStream(mail));
        message.setFlag(Flags.Flag.SEEN, true);
        folder.appendMessages(new Message[] {message});
        Given.same(mail, read(folder));
      } else {
        // The server has put its own lines in front.
        byte[] got = read(store.getFolder("INBOX"));
        int extra = Math.max(0, got.length - mail.length);
        Given.same(mail, java.util.Arrays.copyOfRange(got, extra, got.length));
      }
    }
  }

  private static byte[] read(Folder folder) throws Exception {
    folder.open(Folder.READ_ONLY);
    Message[] found = folder.search(new SubjectTerm(Given.value("SUBJECT")));
    Given.did("found %d of %d", found.length, folder.getMessageCount());
    ByteArrayOutputStream octets = new ByteArrayOutputStream();
    found[found.length - 1].writeTo(octets);
    folder.close();
    return octets.toByteArray();
  }
}
