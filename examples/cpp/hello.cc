// Registers an agent, streams a chat and prints the answer as it comes. Run it beside a kernel.

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <grpcpp/grpcpp.h>

#include "aios/api/agent/v1/agent.grpc.pb.h"
#include "aios/api/inference/v1/inference.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace agentv1 = aios::api::agent::v1;
namespace commonv1 = aios::api::common::v1;
namespace inferencev1 = aios::api::inference::v1;

namespace {

std::string variable(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

// Returns AIOS_TOKEN, or what the kernel of this machine wrote into its data directory.
std::string admin_token() {
  std::string token = variable("AIOS_TOKEN", "");
  if (token.empty()) {
    std::ifstream file(variable("AIOS_DATA_DIR", variable("HOME", "") + "/.aios") + "/admin.token");
    if (!(file >> token)) throw std::runtime_error("there is no administrator's token");
  }
  return token;
}

// Makes a call one in the name of a token, with a deadline.
void as(grpc::ClientContext& context, const std::string& token, std::chrono::seconds deadline) {
  context.AddMetadata("authorization", "Bearer " + token);
  context.set_deadline(std::chrono::system_clock::now() + deadline);
}

// Returns why a call failed, by the one ErrorInfo that every error of the kernel has; empty: it is none of its.
std::string reason(const grpc::Status& failed) {
  google::rpc::Status status;
  if (!status.ParseFromString(failed.error_details())) return "";
  for (const auto& detail : status.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info) && info.domain() == "aios") return info.reason();
  }
  return "";
}

void check(const grpc::Status& status) {
  if (!status.ok()) throw std::runtime_error(reason(status) + " " + status.error_message());
}

void chat(const std::shared_ptr<grpc::Channel>& channel, const std::string& question) {
  agentv1::RegisterAgentRequest wanted;
  agentv1::RegisterAgentResponse registered;
  wanted.set_kind("example");
  grpc::ClientContext registering;
  as(registering, admin_token(), std::chrono::seconds(10));
  check(agentv1::AgentService::NewStub(channel)->RegisterAgent(&registering, wanted, &registered));

  inferencev1::StreamGenerateRequest request;
  request.mutable_generation()->set_max_tokens(64);
  auto* message = request.mutable_generation()->add_messages();
  message->set_role(commonv1::ROLE_USER);
  message->set_content(question);
  grpc::ClientContext asking;
  as(asking, registered.credential().token(), std::chrono::seconds(120));
  auto responses = inferencev1::InferenceService::NewStub(channel)->StreamGenerate(&asking, request);
  inferencev1::StreamGenerateResponse response;
  while (responses->Read(&response)) {
    if (response.event().has_delta()) {
      std::cout << response.event().delta().text() << std::flush;
    } else if (response.event().has_finished()) {
      const auto& usage = response.event().finished().usage();
      std::cout << '\n' << registered.agent().name() << ": " << usage.prompt_tokens() << " + "
                << usage.completion_tokens() << " tokens\n";
    }
  }
  check(responses->Finish());
}

}  // namespace

int main(int count, char** arguments) {
  std::string question;
  for (int each = 1; each < count; ++each) question += (each > 1 ? " " : "") + std::string(arguments[each]);
  try {
    const std::string endpoint = variable("AIOS_ENDPOINT", "127.0.0.1:7070");
    const auto channel = grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials());
    chat(channel, question.empty() ? "Say hello to Mira." : question);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
