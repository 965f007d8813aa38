// Command hello registers an agent, streams a chat and prints the answer as it comes. Run it beside a kernel:
//
//	go run ./hello Say hello to Mira.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	commonv1 "aios/api/common/v1"
	inferencev1 "aios/api/inference/v1"
	"aios/internal/kernel"
)

func main() {
	if err := run(strings.Join(os.Args[1:], " ")); err != nil {
		if reason, none := kernel.Reason(err); none == nil {
			fmt.Fprintf(os.Stderr, "%s: ", reason)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(question string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if question == "" {
		question = "Say hello to Mira."
	}
	admin, err := kernel.AdminToken()
	if err != nil {
		return err
	}
	conn, err := kernel.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	name, token, err := kernel.Register(ctx, conn, admin, "example")
	if err != nil {
		return err
	}
	stream, err := inferencev1.NewInferenceServiceClient(conn).StreamGenerate(
		kernel.As(ctx, token),
		&inferencev1.StreamGenerateRequest{Generation: &inferencev1.GenerateRequest{
			Messages:  []*commonv1.ChatMessage{{Role: commonv1.Role_ROLE_USER, Content: question}},
			MaxTokens: 64,
		}},
	)
	if err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch event := response.Event.Event.(type) {
		case *inferencev1.GenerationEvent_Delta:
			fmt.Print(event.Delta.Text)
		case *inferencev1.GenerationEvent_Finished:
			usage := event.Finished.Usage
			fmt.Printf("\n%s: %d + %d tokens\n", name, usage.PromptTokens, usage.CompletionTokens)
		}
	}
}
