// Keeps the pairing page fresh: the server pushes what has changed, ready to be shown.
"use strict";

(() => {
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  const lost = document.getElementById("lost");
  const phone = document.getElementById("phone");
  const FIRST_PAUSE = 1000; // milliseconds before another attempt
  const LONGEST_PAUSE = 15000;
  let source = null;
  let next = 0; // the timer of the next attempt
  let pause = FIRST_PAUSE;
  let ends = null; // performance.now() at which the code passes
  let announced = "";

  function begin() {
    const state = live.firstElementChild;
    const left = live.querySelector("[data-left]");
    ends = left ? performance.now() + Number(left.dataset.left) * 1000 : null;
    document.title = state.dataset.title;
    phone.hidden = !("phone" in state.dataset);
    if (state.dataset.announce !== announced) {
      announced = state.dataset.announce;
      announce.textContent = announced;
    }
  }

  function isFinal() {
    return "final" in live.firstElementChild.dataset;
  }

  function tick() {
    if (ends === null) return;
    const seconds = Math.max(0, (ends - performance.now()) / 1000);
    const text = String(Math.ceil(seconds));
    const left = live.querySelector("[data-left]");
    if (left && left.textContent !== text) left.textContent = text;
    const bar = live.querySelector("[data-bar]");
    if (bar) bar.value = seconds;
  }

  function listen() {
    source = new EventSource(live.dataset.events);
    source.addEventListener("open", () => {
      pause = FIRST_PAUSE;
      lost.hidden = true;
    });
    source.addEventListener("state", (event) => {
      const focused = live.contains(document.activeElement);
      live.innerHTML = event.data;
      if (focused) document.getElementById("content").focus();
      begin();
      if (isFinal()) stop();
    });
    source.addEventListener("error", () => {
      // The browser gives up on an answer that is no stream, such as a gateway's that is starting.
      stop();
      lost.hidden = false;
      next = setTimeout(listen, pause);
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    });
  }

  function stop() {
    clearTimeout(next);
    if (source) source.close();
  }

  // Nobody looks at a hidden page: no codes are asked for in its name.
  document.addEventListener("visibilitychange", () => {
    stop();
    if (!document.hidden && !isFinal()) listen();
  });

  setInterval(tick, 250);
  begin();
  if (!document.hidden && !isFinal()) listen();
})();
