// Package kernel reaches a running kernel as the examples do: address and administrator's token come from the
// environment, as for the SDK.
package kernel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	agentv1 "aios/api/agent/v1"
)

// Dial opens the one channel that all stubs share. A message may have 4 MiB.
func Dial() (*grpc.ClientConn, error) {
	endpoint := os.Getenv("AIOS_ENDPOINT")
	if endpoint == "" {
		endpoint = "127.0.0.1:7070"
	}
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// AdminToken returns AIOS_TOKEN, or what the kernel of this machine wrote into its data directory.
func AdminToken() (string, error) {
	if token := os.Getenv("AIOS_TOKEN"); token != "" {
		return token, nil
	}
	directory := os.Getenv("AIOS_DATA_DIR")
	if directory == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		directory = filepath.Join(home, ".aios")
	}
	token, err := os.ReadFile(filepath.Join(directory, "admin.token"))
	return strings.TrimSpace(string(token)), err
}

// As adds a bearer token to a context: all calls made with it are made in that name.
func As(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// Register makes an agent of that kind and returns its name and its first token.
func Register(ctx context.Context, conn *grpc.ClientConn, admin, kind string) (string, string, error) {
	request := &agentv1.RegisterAgentRequest{Kind: kind}
	answer, err := agentv1.NewAgentServiceClient(conn).RegisterAgent(As(ctx, admin), request)
	if err != nil {
		return "", "", err
	}
	return answer.Agent.Name, answer.Credential.Token, nil
}

// Reason returns why a call failed, by the one ErrorInfo that every error of the kernel has.
func Reason(err error) (string, error) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Domain == "aios" {
			return info.Reason, nil
		}
	}
	return "", errors.New("the error has no ErrorInfo")
}

// Violations returns the wrong fields of a request that was refused.
func Violations(err error) []string {
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range request.FieldViolations {
				fields = append(fields, violation.Field)
			}
		}
	}
	return fields
}
