package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "aios/api/agent/v1"
	commonv1 "aios/api/common/v1"
	inferencev1 "aios/api/inference/v1"
	memoryv1 "aios/api/memory/v1"
	storagev1 "aios/api/storage/v1"
	"aios/internal/kernel"
)

func unary(ctx context.Context, w *world) error {
	answer, err := agentv1.NewAgentServiceClient(w.conn).GetAgent(
		kernel.As(ctx, w.token), &agentv1.GetAgentRequest{Name: "agents/me"})
	if err != nil {
		return err
	}
	if answer.Agent.Name != w.agent || answer.Agent.Kind != "conformance" {
		return fmt.Errorf("got %s of kind %s", answer.Agent.Name, answer.Agent.Kind)
	}
	return nil
}

func ask(ctx context.Context, w *world, tokens int32) (inferencev1.InferenceService_StreamGenerateClient, error) {
	return inferencev1.NewInferenceServiceClient(w.conn).StreamGenerate(
		kernel.As(ctx, w.token),
		&inferencev1.StreamGenerateRequest{Generation: &inferencev1.GenerateRequest{
			Messages:  []*commonv1.ChatMessage{{Role: commonv1.Role_ROLE_USER, Content: "Say hello to Mira."}},
			MaxTokens: tokens,
		}},
	)
}

func stream(ctx context.Context, w *world) error {
	events, err := ask(ctx, w, 64)
	if err != nil {
		return err
	}
	said, whole, admitted := "", "", false
	for {
		response, err := events.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch event := response.Event.Event.(type) {
		case *inferencev1.GenerationEvent_Admitted:
			admitted = true
		case *inferencev1.GenerationEvent_Delta:
			said += event.Delta.Text
		case *inferencev1.GenerationEvent_Finished:
			whole = event.Finished.Message.Content
		}
	}
	if !admitted || said == "" || said != whole {
		return fmt.Errorf("admitted %t, said %q, whole %q", admitted, said, whole)
	}
	return nil
}

func cancelled(ctx context.Context, w *world) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := agentv1.NewAgentServiceClient(w.conn).WatchAgents(
		kernel.As(inner, w.token), &agentv1.WatchAgentsRequest{Parent: w.agent})
	if err != nil {
		return err
	}
	if _, err := watch.Recv(); err != nil { // it shows what is there, and would then wait for ever
		return err
	}
	cancel()
	for err == nil {
		_, err = watch.Recv()
	}
	return wants(err, codes.Canceled)
}

func deadline(ctx context.Context, w *world) error {
	inner, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	watch, err := agentv1.NewAgentServiceClient(w.conn).WatchAgents(
		kernel.As(inner, w.token), &agentv1.WatchAgentsRequest{Parent: w.agent})
	for err == nil {
		_, err = watch.Recv()
	}
	return wants(err, codes.DeadlineExceeded)
}

func wants(err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("ended with %v, not %v", err, code)
	}
	return nil
}

func errorDetails(ctx context.Context, w *world) error {
	notes, mine := memoryv1.NewMemoryServiceClient(w.conn), kernel.As(ctx, w.token)
	_, err := notes.GetNote(mine, &memoryv1.GetNoteRequest{Name: "agents/me/notes/nowhere"})
	if err := wants(err, codes.NotFound); err != nil {
		return err
	}
	reason, none := kernel.Reason(err)
	if none != nil || reason != "NOTE_NOT_FOUND" {
		return fmt.Errorf("the reason is %q: %v", reason, none)
	}
	_, err = notes.ListNotes(mine, &memoryv1.ListNotesRequest{Parent: "agents/me", PageSize: -1})
	if err := wants(err, codes.InvalidArgument); err != nil {
		return err
	}
	if fields := kernel.Violations(err); !slices.Contains(fields, "page_size") {
		return fmt.Errorf("the wrong fields are %v", fields)
	}
	return nil
}

func put(ctx context.Context, w *world, key, content string) error {
	_, err := memoryv1.NewMemoryServiceClient(w.conn).PutNote(kernel.As(ctx, w.token), &memoryv1.PutNoteRequest{
		Note: &memoryv1.Note{Name: "agents/me/notes/" + key, Content: content},
	})
	return err
}

func paging(ctx context.Context, w *world) error {
	for number := range 5 {
		if err := put(ctx, w, fmt.Sprintf("page/%d", number), "text"); err != nil {
			return err
		}
	}
	notes, seen, pages, token := memoryv1.NewMemoryServiceClient(w.conn), []string{}, 0, ""
	for {
		page, err := notes.ListNotes(kernel.As(ctx, w.token), &memoryv1.ListNotesRequest{
			Parent: "agents/me", KeyPrefix: "page/", PageSize: 2, PageToken: token,
		})
		if err != nil {
			return err
		}
		pages++
		for _, note := range page.Notes {
			seen = append(seen, note.Key)
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(seen, []string{"page/0", "page/1", "page/2", "page/3", "page/4"}) || pages != 3 {
		return fmt.Errorf("%d pages with %v", pages, seen)
	}
	return nil
}

func idempotentRetry(ctx context.Context, w *world) error {
	agents, admin, id := agentv1.NewAgentServiceClient(w.conn), kernel.As(ctx, w.admin), rand.Text()
	request := &agentv1.RegisterAgentRequest{Kind: "twice", RequestId: id}
	first, err := agents.RegisterAgent(admin, request)
	if err != nil {
		return err
	}
	second, err := agents.RegisterAgent(admin, request)
	if err != nil {
		return err
	}
	if first.Agent.Name != second.Agent.Name {
		return fmt.Errorf("one request made %s and %s", first.Agent.Name, second.Agent.Name)
	}
	request.Kind = "another"
	_, err = agents.RegisterAgent(admin, request)
	if reason, _ := kernel.Reason(err); reason != "IDEMPOTENCY_MISMATCH" {
		return fmt.Errorf("another request under the same id: %v", err)
	}
	return nil
}

func bigMessage(ctx context.Context, w *world) error {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	files, mine := storagev1.NewStorageServiceClient(w.conn), kernel.As(ctx, w.token)
	if _, err := files.WriteFile(mine, &storagev1.WriteFileRequest{
		Name: "agents/me/files/big.bin", Content: content,
	}); err != nil {
		return err
	}
	read, err := files.ReadFile(mine, &storagev1.ReadFileRequest{Name: "agents/me/files/big.bin"})
	if err != nil {
		return err
	}
	var back []byte
	for {
		event, err := read.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		back = append(back, event.GetData()...)
	}
	if !bytes.Equal(back, content) {
		return fmt.Errorf("%d bytes came back of %d", len(back), len(content))
	}
	return nil
}

func unicodeText(ctx context.Context, w *world) error {
	key, text := "ключ/鍵/🗝", strings.Join([]string{"naïve", "日本語", "עברית", "👩‍👩‍👧", "e\u0301", "\u202eabc", "𝄞"}, " | ")
	if err := put(ctx, w, key, text); err != nil {
		return err
	}
	answer, err := memoryv1.NewMemoryServiceClient(w.conn).GetNote(
		kernel.As(ctx, w.token), &memoryv1.GetNoteRequest{Name: "agents/me/notes/" + key})
	if err != nil {
		return err
	}
	if answer.Note.Content != text || answer.Note.Key != key {
		return fmt.Errorf("%q came back under %q", answer.Note.Content, answer.Note.Key)
	}
	return nil
}
