// Elements of the page: finding one by its id, and making one with a class and a text.
"use strict";

export const $ = (id) => document.getElementById(id);

export const make = (name, kind, text = "") => {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
};
