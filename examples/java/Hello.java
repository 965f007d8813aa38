import aios.api.agent.v1.AgentServiceGrpc;
import aios.api.agent.v1.RegisterAgentRequest;
import aios.api.common.v1.ChatMessage;
import aios.api.common.v1.Role;
import aios.api.inference.v1.GenerateRequest;
import aios.api.inference.v1.GenerationEvent;
import aios.api.inference.v1.InferenceServiceGrpc;
import aios.api.inference.v1.StreamGenerateRequest;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Registers an agent, streams a chat and prints the answer as it comes. Run it beside a kernel. */
public final class Hello {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** Asks what the arguments say. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    String question = arguments.length == 0 ? "Say hello to Mira." : String.join(" ", arguments);
    String endpoint = variable("AIOS_ENDPOINT", "127.0.0.1:7070");
    ManagedChannel channel = ManagedChannelBuilder.forTarget(endpoint).usePlaintext().build();
    try {
      chat(channel, question);
    } catch (StatusRuntimeException error) {
      System.err.println(reason(error) + " " + error.getMessage());
      System.exit(1);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private static void chat(ManagedChannel channel, String question) throws IOException {
    var agents = as(AgentServiceGrpc.newBlockingStub(channel), adminToken());
    var registered = agents.withDeadlineAfter(10, TimeUnit.SECONDS)
        .registerAgent(RegisterAgentRequest.newBuilder().setKind("example").build());
    var inference = as(InferenceServiceGrpc.newBlockingStub(channel), registered.getCredential().getToken());
    var generation = GenerateRequest.newBuilder()
        .addMessages(ChatMessage.newBuilder().setRole(Role.ROLE_USER).setContent(question))
        .setMaxTokens(64);
    var responses = inference.withDeadlineAfter(2, TimeUnit.MINUTES)
        .streamGenerate(StreamGenerateRequest.newBuilder().setGeneration(generation).build());
    while (responses.hasNext()) {
      GenerationEvent event = responses.next().getEvent();
      if (event.hasDelta()) {
        System.out.print(event.getDelta().getText());
        System.out.flush();
      } else if (event.hasFinished()) {
        var usage = event.getFinished().getUsage();
        System.out.printf("%n%s: %d + %d tokens%n",
            registered.getAgent().getName(), usage.getPromptTokens(), usage.getCompletionTokens());
      }
    }
  }

  /** Returns a stub whose calls are made in the name of a token. */
  private static <S extends AbstractStub<S>> S as(S stub, String token) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + token);
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  /** Returns AIOS_TOKEN, or what the kernel of this machine wrote into its data directory. */
  private static String adminToken() throws IOException {
    String token = variable("AIOS_TOKEN", "");
    Path home = Path.of(System.getProperty("user.home"), ".aios");
    Path directory = Path.of(variable("AIOS_DATA_DIR", home.toString()));
    return token.isEmpty() ? Files.readString(directory.resolve("admin.token")).strip() : token;
  }

  /** Returns why a call failed, by the one ErrorInfo that every error of the kernel has; empty: it is none of its. */
  private static String reason(StatusRuntimeException error) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return "";
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        try {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          if (info.getDomain().equals("aios")) {
            return info.getReason();
          }
        } catch (InvalidProtocolBufferException unreadable) {
          throw new IllegalStateException("the details of an error cannot be read", unreadable);
        }
      }
    }
    return "";
  }

  private static String variable(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }
}
